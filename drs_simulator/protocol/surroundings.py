"""What is asked beside DRS before a launch: launch templates, subnets, types, quotas, topics, and what a role may do.

Everything here is as it should be until `/_control/surroundings` says otherwise. Shapes are those of EC2, IAM, SNS and
Service Quotas (known, botocore's models). What IAM answers is decided by the statements it was given as IAM documents
its evaluation (known); that the simulator of policies takes single resources of RunInstances is likely.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import cast
from uuid import uuid4

from drs_simulator.protocol import iam_policy
from drs_simulator.protocol.call_log import Call
from drs_simulator.world import scenarios
from drs_simulator.world.errors import ApiError
from drs_simulator.world.state_file import Store

Json = Mapping[str, object]

QUERIES = {
    "DescribeLaunchTemplateVersions": "ec2",
    "DescribeSubnets": "ec2",
    "DescribeInstanceTypeOfferings": "ec2",
    "DescribeInstanceTypes": "ec2",
    "SimulatePrincipalPolicy": "iam",
    "GetTopicAttributes": "sns",
}
TARGETS = {"ServiceQuotasV20190624.ListServiceQuotas": "ListServiceQuotas"}
NAMESPACES = {
    "ec2": "http://ec2.amazonaws.com/doc/2016-11-15/",
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
}
SUBNET = "subnet-0123456789abcdef0"
FREE = 4091  # addresses of a /20
MANAGED = "AWSElasticDisasterRecoveryManaged"
STANDARD = "L-1216C47A"  # vCPUs of running On-Demand instances of the usual families
# By service and code: the published ones.
QUOTAS: Mapping[str, Mapping[str, float]] = {
    "drs": {
        "L-D88FAC3A": 20,
        "L-B827C881": 100,
        "L-05AFA8C6": 500,
        "L-DD6D028C": 1,
        "L-C1D14A2B": 300,
        "L-E28BE5E0": 4000,
    },
    "ec2": {STANDARD: 20_000},
}


def told(store: Store, name: str, default: object) -> object:
    """What the control request said of something."""
    said = cast("dict[str, object]", json.loads(store.meta("surroundings", "{}")))
    return said.get(name, default)


def change(store: Store, body: Json) -> Json:
    """Merge into what was said: `{policies, simulation, templates, launch, subnets, offered, quotas, topics}`."""
    known = {"policies", "simulation", "templates", "launch", "subnets", "offered", "quotas", "topics"}
    if unknown := body.keys() - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    said = json.loads(store.meta("surroundings", "{}")) | dict(body)
    store.set_meta("surroundings", json.dumps(said))
    return cast("Json", said)


def launch_configuration(store: Store, server: str, hostname: str) -> Json:
    """What was said of a server's launch settings, by its id or its host name."""
    said = cast("Mapping[str, Json]", told(store, "launch", {}))
    return said.get(server) or said.get(hostname) or {}


def answer(store: Store, call: Call) -> str | Json:
    """XML, or JSON for Service Quotas. Raises ApiError for a refusal."""
    return ANSWERS[call.operation](store, call)


def _templates(store: Store, call: Call) -> str:
    """The default version of a template; by default one of DRS's own making."""
    template = str(call.params.get("LaunchTemplateId", ""))
    said = cast("Mapping[str, Json | None]", told(store, "templates", {}))
    given = said.get(template, {})
    if given is None:
        raise ApiError("InvalidLaunchTemplateId.NotFound", f"The launch template ID '{template}' does not exist")
    data: dict[str, object] = {
        "instanceType": "m5.large",
        "networkInterfaceSet": [{"subnetId": SUBNET, "deviceIndex": 0}],
        "tagSpecificationSet": [
            {"resourceType": kind, "tagSet": [{"key": MANAGED, "value": "drs.amazonaws.com"}]}
            for kind in ("instance", "volume")
        ],
        "blockDeviceMappingSet": [{"deviceName": "/dev/sda1", "ebs": {"volumeType": "gp3"}}],
    }
    data = {name: value for name, value in (data | dict(given)).items() if value is not None}
    item = {
        "launchTemplateId": template,
        "versionNumber": 2,
        "defaultVersion": True,
        "launchTemplateData": data,
    }
    return _ec2(call, _xml("launchTemplateVersionSet", [item]))


def _subnets(store: Store, call: Call) -> str:
    """By ids, one that does not exist fails all (known); by a filter it is left out (known)."""
    said = cast("Mapping[str, int | None]", told(store, "subnets", {}))
    full = scenarios.view(store, call.region, "subnet_full", call.operation)
    asked = _numbered(call, "SubnetId.")
    for each in asked:
        if said.get(each, FREE) is None:
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{each}' does not exist")
    asked += [each for each in _numbered(call, "Filter.1.Value.") if said.get(each, FREE) is not None]
    free = {each: said.get(each, FREE) if full is None else int(full.number("free")) for each in asked}
    items = [
        {"subnetId": each, "state": "available", "availableIpAddressCount": count, "vpcId": "vpc-1"}
        for each, count in free.items()
    ]
    return _ec2(call, _xml("subnetSet", items))


def _types(store: Store, call: Call) -> str:
    """Of the types that are asked for those that look like one. vCPUs grow with the size (known for current types)."""
    items = [
        {"instanceType": each, "vCpuInfo": {"defaultVCpus": count}}
        for each in _numbered(call, "Filter.1.Value.")
        if (count := vcpus(each))
    ]
    return _ec2(call, _xml("instanceTypeSet", items))


def vcpus(instance_type: str) -> int:
    """Of `m5.large` 2, `.xlarge` 4, `.4xlarge` 16; 0 of what is no type."""
    found = re.fullmatch(r"[a-z][a-z0-9-]+\.(?:(\d*)xlarge|large|medium|small|micro)", instance_type)
    if found is None:
        return 0
    return 4 * int(found[1] or 1) if "xlarge" in instance_type else 2


def _numbered(call: Call, prefix: str) -> list[str]:
    return [str(value) for name, value in sorted(call.params.items()) if name.startswith(prefix)]


def _offerings(store: Store, call: Call) -> str:
    """Which of the types that are asked for the region offers; `offered` of the control request limits them."""
    asked = _numbered(call, "Filter.1.Value.")
    offered = cast("list[str] | None", told(store, "offered", None))
    items = [
        {"instanceType": each, "locationType": "region", "location": call.region}
        for each in asked
        if offered is None or each in offered
    ]
    return _ec2(call, _xml("instanceTypeOfferingSet", items))


def _simulate(store: Store, call: Call) -> str:
    """Every action on every resource in one context, as IAM decides; the account allows everything until it is given
    statements."""
    if told(store, "simulation", True) is False:
        arn = f"arn:aws:iam::{call.account}:user/simulator"
        raise ApiError(
            "AccessDenied", f"User: {arn} is not authorized to perform: iam:SimulatePrincipalPolicy on resource: {arn}"
        )
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    statements = cast("list[iam_policy.Statement]", told(store, "policies", everything))
    context = _context(call)
    results = []
    for action in _members(call, "ActionNames"):
        for resource in _members(call, "ResourceArns") or ["*"]:
            decision = iam_policy.decide(statements, iam_policy.Request(action, resource, context))
            results.append({"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": str(decision)})
    inside = _xml("EvaluationResults", results, item="member") + "<IsTruncated>false</IsTruncated>"
    return _document("iam", call, inside)


def _context(call: Call) -> iam_policy.Context:
    found: dict[str, str | list[str]] = {}
    for number in range(1, 50):
        prefix = f"ContextEntries.member.{number}"
        if f"{prefix}.ContextKeyName" not in call.params:
            break
        values = _members(call, f"{prefix}.ContextKeyValues")
        many = str(call.params[f"{prefix}.ContextKeyType"]).endswith("List")
        found[str(call.params[f"{prefix}.ContextKeyName"])] = values if many else values[0]
    return found


def _members(call: Call, name: str) -> list[str]:
    prefix = f"{name}.member."
    found = {int(key.removeprefix(prefix)): str(each) for key, each in call.params.items() if key.startswith(prefix)}
    return [found[number] for number in sorted(found)]


def _quotas(store: Store, call: Call) -> Json:
    service = str(call.params.get("ServiceCode", ""))
    changed = dict(cast("Mapping[str, float]", told(store, "quotas", {})))
    exhausted = scenarios.view(store, call.region, "vcpus_exhausted", call.operation)
    if exhausted is not None:
        changed[STANDARD] = exhausted.number("limit")
    quotas = [
        {"ServiceCode": service, "QuotaCode": code, "QuotaName": code, "Value": changed.get(code, value)}
        for code, value in QUOTAS.get(service, {}).items()
    ]
    return {"Quotas": quotas}


def _topic(store: Store, call: Call) -> str:
    """Every topic is there until the control request names those that are."""
    arn = str(call.params.get("TopicArn", ""))
    there = cast("list[str] | None", told(store, "topics", None))
    if there is not None and arn not in there:
        raise ApiError("NotFound", "Topic does not exist")
    entry = f"<entry><key>TopicArn</key><value>{escape(arn)}</value></entry>"
    return _document("sns", call, f"<Attributes>{entry}</Attributes>")


ANSWERS: Mapping[str, Callable[[Store, Call], str | Json]] = {
    "DescribeLaunchTemplateVersions": _templates,
    "DescribeSubnets": _subnets,
    "DescribeInstanceTypeOfferings": _offerings,
    "DescribeInstanceTypes": _types,
    "SimulatePrincipalPolicy": _simulate,
    "GetTopicAttributes": _topic,
    "ListServiceQuotas": _quotas,
}


def _xml(name: str, value: object, item: str = "item") -> str:
    return f"<{name}>{''.join(_inside(value, item))}</{name}>"


def _inside(value: object, item: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (_xml(str(name), each, item) for name, each in value.items())
    elif isinstance(value, list):
        yield from (_xml(item, each, item) for each in value)
    else:
        yield escape({True: "true", False: "false"}[value] if isinstance(value, bool) else str(value))


def _ec2(call: Call, inside: str) -> str:
    name = f"{call.operation}Response"
    return f'<{name} xmlns="{NAMESPACES["ec2"]}"><requestId>{uuid4()}</requestId>{inside}</{name}>'


def _document(service: str, call: Call, inside: str) -> str:
    name = call.operation
    return (
        f'<{name}Response xmlns="{NAMESPACES[service]}"><{name}Result>{inside}</{name}Result>'
        f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{name}Response>"
    )
