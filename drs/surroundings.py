"""What stands beside DRS and a launch needs: who we are, what our role may do, quotas, templates, subnets, topics.

Only asked beforehand, by `manage.py doctor`, its page, and an engine at a slow pace: nothing of it ever decides about a
launch.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from botocore.config import Config

from drs import account as identity
from drs.classify_errors import FAILED_CALL, classify
from drs.errors import DrsError, Trouble
from drs.roles import Role

MANAGED = "AWSElasticDisasterRecoveryManaged"
_CONFIG = Config(connect_timeout=2, read_timeout=6, retries={"total_max_attempts": 2, "mode": "standard"})
_TYPES_A_CALL = 100
_VALUES_A_FILTER = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """What IAM is asked about at once: every action on every resource, in one context. `policy` is the file of
    deploy/iam that answers for it."""

    policy: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Denied:
    """One action on one resource that IAM says is not allowed, and what denies it."""

    action: str
    resource: str
    decision: str
    by_organization: bool = False
    by_boundary: bool = False


@dataclass(frozen=True)
class LaunchTemplate:
    """The default version of a launch template, as far as it decides whether a launch works, and how."""

    instance_type: str = ""
    chooses_type: bool = False
    subnet_ids: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by the kind of resource that gets them
    key_ids: tuple[str, ...] = ()
    managed: frozenset[str] = frozenset()  # the kinds of resource that get DRS's tag
    names_hosts: bool = False


@dataclass(frozen=True)
class Surroundings:
    """The services beside DRS in one region. Every method raises DrsError and nothing else for a call that failed.

    `account` is the account that is meant; empty: that of our own credentials, whichever it is. With `simulated`, DRS
    is a simulated one, and nothing is asked of the real AWS beside it.
    """

    region: str
    account: str = ""
    simulated: bool = False

    def _client(self, service: str) -> Any:
        if self.account:
            identity.check(self.region, self.account)
        role = identity.open_role(self.region, self.account)
        with identity.making:
            client = _build(service, self.region, role, os.getpid())
        if self.simulated and ".amazonaws." in client.meta.endpoint_url:
            text = f"DRS is simulated here; {service} of the real AWS is not asked."
            raise DrsError(Trouble.NOT_SENT, code="Simulated", message=text, region=self.region, operation=service)
        return client

    def _ask(self, operation: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except FAILED_CALL as error:
            raise classify(error, region=self.region, operation=operation) from error

    def caller(self) -> str:
        """The ARN of whoever the credentials are for."""
        return self._ask("GetCallerIdentity", lambda: str(self._client("sts").get_caller_identity()["Arn"]))

    def denied(self, principal: str, question: Question) -> list[Denied]:
        """What of a question IAM does not allow this user or role."""

        def ask() -> list[Denied]:
            pages = self._client("iam").get_paginator("simulate_principal_policy")
            asked = pages.paginate(
                PolicySourceArn=principal,
                ActionNames=list(question.actions),
                ResourceArns=list(question.resources),
                ContextEntries=[_entry(name, value) for name, value in question.context.items()],
            )
            results = [each for page in asked for each in page["EvaluationResults"]]
            return [_denied(each) for each in results if each["EvalDecision"] != "allowed"]

        return self._ask("SimulatePrincipalPolicy", ask)

    def quotas(self, service: str) -> dict[str, float]:
        """The quotas of a service by their codes."""

        def ask() -> dict[str, float]:
            pages = self._client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode=service)
            return {each["QuotaCode"]: float(each["Value"]) for page in pages for each in page["Quotas"]}

        return self._ask("ListServiceQuotas", ask)

    def launch_template(self, template_id: str) -> LaunchTemplate:
        def ask() -> LaunchTemplate:
            found = self._client("ec2").describe_launch_template_versions(
                LaunchTemplateId=template_id, Versions=["$Default"]
            )
            return _template(found["LaunchTemplateVersions"][0]["LaunchTemplateData"])

        return self._ask("DescribeLaunchTemplateVersions", ask)

    def free_addresses(self, subnet_id: str) -> int:
        """How many addresses of a subnet are free."""

        def ask() -> int:
            [subnet] = self._client("ec2").describe_subnets(SubnetIds=[subnet_id])["Subnets"]
            return int(subnet["AvailableIpAddressCount"])

        return self._ask("DescribeSubnets", ask)

    def subnets(self, subnet_ids: Sequence[str]) -> dict[str, int]:
        """The free addresses of those of these subnets that exist. A filter: by its ids, one that is gone fails all."""

        def ask() -> dict[str, int]:
            chunks = [subnet_ids[at : at + _VALUES_A_FILTER] for at in range(0, len(subnet_ids), _VALUES_A_FILTER)]
            pages = self._client("ec2").get_paginator("describe_subnets")
            return {
                each["SubnetId"]: int(each["AvailableIpAddressCount"])
                for chunk in chunks
                for page in pages.paginate(Filters=[{"Name": "subnet-id", "Values": list(chunk)}])
                for each in page["Subnets"]
            }

        return self._ask("DescribeSubnets", ask)

    def offered(self, instance_types: Sequence[str]) -> set[str]:
        """Which of these instance types the region offers."""

        def ask() -> set[str]:
            wanted = [{"Name": "instance-type", "Values": list(instance_types[:_TYPES_A_CALL])}]
            pages = self._client("ec2").get_paginator("describe_instance_type_offerings")
            asked = pages.paginate(LocationType="region", Filters=wanted)
            return {each["InstanceType"] for page in asked for each in page["InstanceTypeOfferings"]}

        return self._ask("DescribeInstanceTypeOfferings", ask)

    def check_topic(self, arn: str) -> None:
        """Raises DrsError unless there is such a topic and we may look at it."""
        self._ask("GetTopicAttributes", lambda: self._client("sns").get_topic_attributes(TopicArn=arn))

    def check_bus(self, bus: str) -> None:
        """Raises DrsError unless there is such an event bus, by its name or ARN, and we may look at it."""
        self._ask("DescribeEventBus", lambda: self._client("events").describe_event_bus(Name=bus)["Arn"])


@cache
def _build(service: str, region: str, role: Role | None, pid: int) -> Any:
    return identity.make_client(service, region, _CONFIG, role, pid)


def role_behind(arn: str) -> str:
    """The ARN that IAM knows of a caller: of a session the role, without its path, which the session does not tell."""
    parts = arn.split(":", 5)
    if parts[2] == "sts" and parts[5].startswith("assumed-role/"):
        return f"arn:{parts[1]}:iam::{parts[4]}:role/{parts[5].split('/')[1]}"
    return arn


def _entry(name: str, value: str | list[str]) -> dict[str, object]:
    kind = "stringList" if isinstance(value, list) else "boolean" if value in ("true", "false") else "string"
    values = value if isinstance(value, list) else [value]
    return {"ContextKeyName": name, "ContextKeyValues": values, "ContextKeyType": kind}


def _denied(found: Mapping[str, Any]) -> Denied:
    organization = found.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True)
    boundary = found.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True)
    return Denied(
        found["EvalActionName"],
        found.get("EvalResourceName", "*"),
        found["EvalDecision"],
        not organization,
        not boundary,
    )


def _template(data: Mapping[str, Any]) -> LaunchTemplate:
    interfaces = data.get("NetworkInterfaces", [])
    disks = [each.get("Ebs", {}) for each in data.get("BlockDeviceMappings", [])]
    tagged = [each for each in data.get("TagSpecifications", []) if MANAGED in {tag["Key"] for tag in each["Tags"]}]
    groups = [*data.get("SecurityGroupIds", []), *data.get("SecurityGroups", [])]
    groups += [group for each in interfaces for group in each.get("Groups", [])]
    placement = data.get("Placement", {})
    hosts = ("HostId", "HostResourceGroupArn", "GroupName", "GroupId")
    return LaunchTemplate(
        instance_type=data.get("InstanceType", ""),
        chooses_type="InstanceRequirements" in data,
        subnet_ids=tuple(dict.fromkeys(each["SubnetId"] for each in interfaces if each.get("SubnetId"))),
        security_groups=tuple(sorted(set(groups))),
        tags={
            each["ResourceType"]: {tag["Key"]: tag.get("Value", "") for tag in each["Tags"]}
            for each in data.get("TagSpecifications", [])
        },
        key_ids=tuple(dict.fromkeys(each["KmsKeyId"] for each in disks if each.get("KmsKeyId"))),
        managed=frozenset(each["ResourceType"] for each in tagged),
        names_hosts=any(placement.get(each) for each in hosts)
        or bool(data.get("KeyName") or data.get("LicenseSpecifications"))
        or bool(data.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget")),
    )
