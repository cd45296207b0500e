"""What a role needs so that DRS launches and terminates in its name, as questions that IAM's policy simulator answers.

DRS calls EC2, SSM and KMS as whoever called it; such calls tell `aws:CalledVia`. A question holds for all its actions
and resources with one context, so they are grouped by what the request tells. The tests hold this list against the
matrix of rights by which deploy/iam is judged.
"""

from collections.abc import Iterator, Mapping

from drs.arns import partition_of
from drs.surroundings import MANAGED, Question

Context = Mapping[str, str | list[str]]

DRS = "drs.amazonaws.com"
VIA: Context = {"aws:ViaAWSService": "true", "aws:CalledVia": [DRS]}
MADE: Context = {**VIA, f"aws:RequestTag/{MANAGED}": DRS}
OURS: Context = {**VIA, f"aws:ResourceTag/{MANAGED}": DRS, f"ec2:ResourceTag/{MANAGED}": DRS}
OFFERED: Context = {**VIA, "aws:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"}
LOOKING = """AccountAttributes AvailabilityZones Images InstanceAttribute InstanceStatus InstanceTypes Instances
    LaunchTemplateVersions LaunchTemplates SecurityGroups Snapshots Subnets Volumes"""
ROLES = ("ConversionServerRole", "RecoveryInstanceRole", "RecoveryInstanceWithLaunchActionsRole")
EC2 = {
    name: f"{name}/{short}-0123456789abcdef0"
    for name, short in {
        "fleet": "fleet",
        "instance": "i",
        "launch-template": "lt",
        "network-interface": "eni",
        "security-group": "sg",
        "subnet": "subnet",
        "volume": "vol",
        "vpc": "vpc",
        "dedicated-host": "h",
        "placement-group": "pg",
        "capacity-reservation": "cr",
        "key-pair": "key",
    }.items()
}
PUBLIC = {"image": "image/ami-0123456789abcdef0", "snapshot": "snapshot/snap-0123456789abcdef0"}


def _named(service: str, actions: str) -> tuple[str, ...]:
    return tuple(f"{service}:{each}" for each in actions.split())


class Rights:
    """The questions about one account and region."""

    def __init__(self, account: str, region: str) -> None:
        self.account, self.region, self.partition = account, region, partition_of(region)
        self.base: Context = {"aws:RequestedRegion": region, "aws:PrincipalAccount": account}

    def _arns(self, kinds: str) -> tuple[str, ...]:
        place = f"arn:{self.partition}:ec2:{self.region}:"
        return tuple(
            f"{place}:{PUBLIC[each]}" if each in PUBLIC else f"{place}{self.account}:{EC2[each]}"
            for each in kinds.split()
        )

    def _drs(self, kind: str) -> tuple[str, ...]:
        return (f"arn:{self.partition}:drs:{self.region}:{self.account}:{kind}/{kind[0]}-0123456789abcdef0",)

    def _ec2(self, policy: str, actions: str, kinds: str, context: Context) -> Question:
        resources = ("*",) if kinds == "*" else self._arns(kinds)
        return Question(policy, _named("ec2", actions), resources, {**self.base, **context})

    def core(self) -> Iterator[Question]:
        """A launch."""
        reading = "DescribeSourceServers DescribeJobs DescribeJobLogItems DescribeRecoveryInstances"
        more = "DescribeRecoverySnapshots GetLaunchConfiguration"
        yield Question("engine", _named("drs", f"{reading} {more}"), ("*",), self.base)
        yield Question("engine", ("drs:StartRecovery",), self._drs("source-server"), self.base)
        tagging = {**self.base, "drs:CreateAction": "StartRecovery"}
        yield Question("engine", ("drs:TagResource",), self._drs("job"), tagging)
        registers = _named("drs", "CreateRecoveryInstanceForDrs ListTagsForResource")
        yield Question("engine", registers, self._drs("source-server"), {**self.base, **VIA})
        yield self._ec2("engine", " ".join(f"Describe{each}" for each in LOOKING.split()), "*", VIA)
        # What engines themselves ask, for readiness
        reads = "Instances InstanceStatus InstanceTypes LaunchTemplateVersions Subnets"
        yield self._ec2("engine", " ".join(f"Describe{each}" for each in reads.split()), "*", {})
        yield from self._making()
        yield from self._using()
        yield from self._templates()
        roles = [f"role/service-role/AWSElasticDisasterRecovery{each}" for each in ROLES]
        arns = tuple(f"arn:{self.partition}:iam::{self.account}:{each}" for each in roles)
        yield Question("engine", ("iam:PassRole",), arns, {**VIA, "iam:PassedToService": "ec2.amazonaws.com"})

    def _making(self) -> Iterator[Question]:
        yield self._ec2("engine", "RunInstances", "instance", MADE)
        beside = "security-group volume subnet image network-interface launch-template"
        yield self._ec2("engine", "RunInstances", beside, VIA)
        yield self._ec2("engine", "CreateVolume", "volume", MADE)
        yield self._ec2("engine", "CreateVolume", "snapshot", OURS)
        yield self._ec2("engine", "CreateSnapshot", "volume", OURS)
        yield self._ec2("engine", "CreateSnapshot", "snapshot", MADE)
        yield self._ec2("engine", "CreateNetworkInterface CreateSecurityGroup", "security-group", MADE)
        yield self._ec2("engine", "CreateNetworkInterface", "network-interface", MADE)
        yield self._ec2("engine", "CreateNetworkInterface", "subnet", VIA)
        yield self._ec2("engine", "CreateSecurityGroup", "vpc", VIA)
        made_by = {
            "RunInstances": "instance volume network-interface",
            "CreateVolume": "volume",
            "CreateSnapshot": "snapshot",
            "CreateNetworkInterface": "network-interface",
            "CreateSecurityGroup": "security-group",
        }
        for creating, kinds in made_by.items():
            yield self._ec2("engine", "CreateTags", kinds, {**MADE, "ec2:CreateAction": creating})

    def _using(self) -> Iterator[Question]:
        running = "StartInstances StopInstances TerminateInstances ModifyInstanceAttribute"
        boot = "GetConsoleOutput GetConsoleScreenshot AssociateIamInstanceProfile"
        yield self._ec2("engine", f"AttachVolume DetachVolume {running} {boot}", "instance", OURS)
        yield self._ec2("engine", "AttachVolume DeleteVolume", "volume", OURS)
        yield self._ec2("engine", "DetachVolume", "volume", VIA)
        yield self._ec2("engine", "DeleteSnapshot", "snapshot", OURS)
        yield self._ec2("engine", "CreateNetworkInterfacePermission", "network-interface", OURS)
        rules = "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress"
        yield self._ec2("engine", rules, "security-group", OURS)

    def _templates(self) -> Iterator[Question]:
        changes = "CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplateVersions"
        yield self._ec2("templates", changes, "launch-template", OURS)
        yield self._ec2("templates", "CreateLaunchTemplate", "launch-template", MADE)
        tagging = {**MADE, "ec2:CreateAction": "CreateLaunchTemplate"}
        yield self._ec2("templates", "CreateTags", "launch-template", tagging)

    def terminate(self) -> Iterator[Question]:
        """The end of a drill."""
        ends = ("drs:TerminateRecoveryInstances",)
        yield Question("terminate", ends, self._drs("recovery-instance"), self.base)
        yield self._ec2("terminate", "TerminateInstances", "instance", OURS)
        yield self._ec2("terminate", "DeleteVolume", "volume", OURS)

    def launch_actions(self) -> Iterator[Question]:
        """Post-launch actions of Systems Manager."""
        looking = _named("ssm", "DescribeInstanceInformation DescribeParameters")
        yield Question("launch-actions", looking, ("*",), {**self.base, **VIA})
        document = f"arn:{self.partition}:ssm:{self.region}::document/AWSDRS-VerifyTags"
        yield Question("launch-actions", ("ssm:SendCommand",), (document,), {**self.base, **VIA})
        automation = f"arn:{self.partition}:ssm:{self.region}::automation-definition/AWS-CreateImage:$DEFAULT"
        yield Question("launch-actions", ("ssm:StartAutomationExecution",), (automation,), {**self.base, **VIA})
        yield Question("launch-actions", ("ssm:SendCommand",), self._arns("instance"), {**self.base, **OURS})

    def flexible_types(self) -> Iterator[Question]:
        """Instance types by requirements."""
        yield self._ec2("flexible-types", "GetInstanceTypesFromInstanceRequirements", "*", VIA)
        yield self._ec2("flexible-types", "CreateFleet", "instance fleet volume subnet image launch-template", VIA)
        tagging = {**MADE, "ec2:CreateAction": "CreateFleet"}
        yield self._ec2("flexible-types", "CreateTags", "instance volume", tagging)

    def existing_instances(self) -> Iterator[Question]:
        """Instances of the customer's to launch into."""
        told = {**OFFERED, "ec2:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"}
        yield self._ec2("existing-instances", "AttachVolume DetachVolume StartInstances", "instance", told)

    def dedicated_hosts(self) -> Iterator[Question]:
        """What templates may name beside the usual."""
        kinds = "dedicated-host placement-group capacity-reservation key-pair"
        yield self._ec2("dedicated-hosts", "RunInstances", kinds, VIA)

    def key(self, arn: str) -> Iterator[Question]:
        """A KMS key that encrypts volumes."""
        told: Context = {
            "aws:ViaAWSService": "true",
            "aws:CalledVia": [DRS, "ec2.amazonaws.com"],
            "kms:ViaService": f"ec2.{self.region}.amazonaws.com",
        }
        uses = _named("kms", "Decrypt DescribeKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo")
        yield Question("keys", uses, (arn,), told)
        yield Question("keys", ("kms:CreateGrant",), (arn,), {**told, "kms:GrantIsForAWSResource": "true"})
