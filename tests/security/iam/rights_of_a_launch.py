"""What AWS asks of our credentials while DRS launches and terminates: action, resource, and what the request tells.

From AWS's own policy and its Service Authorization Reference, and from what others saw on their accounts and published;
nobody of this project has seen it on AWS. DRS calls EC2 in the name of whoever called it: such requests tell
`aws:CalledVia`, and direct ones do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drs_simulator.protocol.iam_policy import Context, Request

ACCOUNT, OTHER_ACCOUNT, REGION = "123456789012", "210987654321", "us-east-1"
DRS = "drs.amazonaws.com"
MANAGED = "AWSElasticDisasterRecoveryManaged"
JOB = "drs.amazonaws.com-job"
LAUNCH_INTO = "AWSDRS"
PUBLIC = {"image", "snapshot"}  # without an account in their names
OF_DRS = {"source-server", "recovery-instance", "job"}
ROLES = [f"AWSElasticDisasterRecovery{each}Role" for each in ("ConversionServer", "RecoveryInstance")]
ROLES += ["AWSElasticDisasterRecoveryRecoveryInstanceWithLaunchActionsRole"]

ALL_DISKS = "instance volume snapshot security-group"
LOOKING = """AccountAttributes AvailabilityZones Images InstanceAttribute InstanceStatus InstanceTypes Instances
    LaunchTemplateVersions LaunchTemplates SecurityGroups Snapshots Subnets Volumes"""


@dataclass(frozen=True)
class Row:
    """One action on one kind of resource. `oracle` is the number of the statement in AWS's policy that allows it, or
    None where that policy denies what was seen, or `why` says it is needed."""

    action: str
    kind: str
    oracle: int | None
    via: tuple[str, ...] = (DRS,)
    tags: tuple[str, ...] = ()
    request_tags: tuple[str, ...] = ()
    creating: str = ""
    passed_to: str = ""
    account: str = ACCOUNT
    why: str = ""

    def __str__(self) -> str:
        told = [*self.tags, *(f"+{tag}" for tag in self.request_tags), self.creating, self.passed_to, self.why]
        return " ".join([self.action, self.kind, "through DRS" if self.via else "direct", *filter(None, told)])

    def request(self) -> Request:
        return Request(self.action, arn(self.kind, self.account), self.context())

    def context(self) -> Context:
        told: dict[str, str | list[str]] = {"aws:RequestedRegion": REGION, "aws:PrincipalAccount": ACCOUNT}
        if owner := arn(self.kind, self.account).split(":")[4:5]:
            told |= {"aws:ResourceAccount": owner[0]} if owner[0] else {}
        if self.via:
            told |= {"aws:ViaAWSService": "true", "aws:CalledVia": list(self.via)}
        service = self.action.partition(":")[0]
        for tag in self.tags:
            value = "AllowLaunchingIntoThisInstance" if tag == LAUNCH_INTO else DRS
            told |= {f"aws:ResourceTag/{tag}": value, f"{service}:ResourceTag/{tag}": value}
        if self.request_tags:
            told |= {f"aws:RequestTag/{tag}": DRS for tag in self.request_tags}
            told["aws:TagKeys"] = list(self.request_tags)
        if self.creating:
            told[f"{service}:CreateAction"] = self.creating
        if self.passed_to:
            told["iam:PassedToService"] = self.passed_to
        return told

    def directly(self) -> "Row":
        return replace(self, via=())


def arn(kind: str, account: str = ACCOUNT) -> str:
    if kind == "*" or kind.startswith("arn:"):
        return kind
    if kind.startswith("role/"):
        return f"arn:aws:iam::{account}:{kind}"
    service = "drs" if kind in OF_DRS else "ec2"
    return f"arn:aws:{service}:{REGION}:{'' if kind in PUBLIC else account}:{kind}/{kind[0]}-0123456789abcdef0"


def each(actions: str, kinds: str, like: Row) -> Iterator[Row]:
    """A row for every action on every kind of resource; `like` names the service alone."""
    for action in actions.split():
        for kind in kinds.split():
            yield replace(like, action=f"{like.action}:{action}", kind=kind)


def of(service: str, oracle: int | None) -> Row:
    return Row(service, "", oracle)


def start() -> Iterator[Row]:
    """The call, and what DRS does in DRS for it."""
    yield Row("drs:StartRecovery", "source-server", 1, via=(), request_tags=("drs-orchestration",))
    yield Row("drs:TagResource", "job", 1, via=(), request_tags=("drs-orchestration",), creating="StartRecovery")
    yield from each("CreateRecoveryInstanceForDrs ListTagsForResource", "source-server", of("drs", 1))
    yield from each(" ".join(f"Describe{what}" for what in LOOKING.split()), "*", of("ec2", 3))


def making() -> Iterator[Row]:
    """What is made: the request carries the tag, what it is made from may have it."""
    ec2 = of("ec2", None)
    made = replace(ec2, request_tags=(MANAGED,))
    yield from each("RunInstances", "instance", replace(made, oracle=24))
    beside = "security-group volume subnet image network-interface launch-template"
    yield from each("RunInstances", beside, replace(ec2, oracle=25))
    yield from each("CreateVolume", "volume", replace(made, oracle=15))
    yield from each("CreateVolume", "snapshot", replace(ec2, oracle=41, tags=(MANAGED,)))
    yield from each("CreateSnapshot", "volume", replace(ec2, oracle=18, tags=(MANAGED,)))
    yield from each("CreateSnapshot", "snapshot", replace(made, oracle=19))
    yield from each("CreateSecurityGroup", "vpc", replace(ec2, oracle=16))
    yield from each("CreateSecurityGroup", "security-group", replace(made, oracle=17))
    for creating in ("RunInstances", "CreateVolume", "CreateSnapshot", "CreateNetworkInterface", "CreateSecurityGroup"):
        tagging = replace(made, oracle=26, creating=creating)
        yield from each("CreateTags", f"{ALL_DISKS} network-interface", tagging)


def using() -> Iterator[Row]:
    """What is done to what was made."""
    ec2 = of("ec2", None)
    managed = replace(ec2, tags=(MANAGED,))
    yield from each("AttachVolume DetachVolume", "instance", replace(managed, oracle=20))
    yield from each("AttachVolume", "volume", replace(managed, oracle=22))
    yield from each("DetachVolume", "volume", replace(ec2, oracle=23, why="root disk of the launched image"))
    yield from each("DeleteVolume", "volume", replace(managed, oracle=12))
    yield from each("DeleteSnapshot", "snapshot", replace(managed, oracle=9))
    running = "StartInstances StopInstances TerminateInstances ModifyInstanceAttribute"
    yield from each(f"{running} GetConsoleOutput GetConsoleScreenshot", "instance", replace(managed, oracle=13))
    yield from each("AssociateIamInstanceProfile", "instance", replace(managed, oracle=38))
    group = "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress"
    yield from each(group, "security-group", replace(managed, oracle=14))


def templates_and_roles() -> Iterator[Row]:
    """Launch templates also directly; the roles of the instances whoever asks."""
    for via in ((DRS,), ()):
        ec2 = replace(of("ec2", 10), via=via)
        known = replace(ec2, tags=(MANAGED,))
        actions = "CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplateVersions"
        yield from each(actions, "launch-template", known)
        made = replace(ec2, request_tags=(MANAGED,))
        yield from each("CreateLaunchTemplate", "launch-template", replace(made, oracle=11))
        tagging = replace(made, oracle=27, creating="CreateLaunchTemplate")
        yield from each("CreateTags", "launch-template", tagging)
        for role in ROLES:
            yield Row("iam:PassRole", f"role/service-role/{role}", 8, via=via, passed_to="ec2.amazonaws.com")


def networks() -> Iterator[Row]:
    """Network interfaces that DRS makes, and networks of another account."""
    ec2 = of("ec2", None)
    made = replace(ec2, request_tags=(MANAGED,))
    yield from each("CreateNetworkInterface", "network-interface", replace(made, oracle=42))
    yield from each("CreateNetworkInterface", "subnet security-group", replace(ec2, oracle=43))
    permission = replace(ec2, oracle=44, tags=(MANAGED,))
    yield from each("CreateNetworkInterfacePermission", "network-interface", permission)
    shared = replace(ec2, oracle=25, account=OTHER_ACCOUNT, why="shared by another account")
    yield from each("RunInstances", "subnet security-group", shared)


def seen_in_the_field() -> Iterator[Row]:
    """What was asked on real accounts and AWS's own policy denies: the job failed for that server alone, if it is all
    a role has."""
    ec2 = of("ec2", None)
    job = replace(ec2, tags=(JOB,), why="staging volume without the managed tag")
    yield from each("DeleteVolume AttachVolume CreateSnapshot", "volume", job)
    yield from each("CreateVolume", "volume", replace(ec2, request_tags=(JOB,), why=job.why))
    untagged = "StartInstances StopInstances TerminateInstances ModifyInstanceAttribute AttachVolume DetachVolume"
    boot = "AssociateIamInstanceProfile GetConsoleOutput GetConsoleScreenshot"
    yield from each(f"{untagged} {boot}", "instance", replace(ec2, why="template without the managed tag"))
    both = replace(ec2, tags=(MANAGED, LAUNCH_INTO), oracle=13, why="a recovery instance that is launched into again")
    yield from each("StartInstances StopInstances TerminateInstances ModifyInstanceAttribute", "instance", both)
    yield from each("GetConsoleOutput GetConsoleScreenshot", "instance", both)
    yield from each("AttachVolume DetachVolume", "instance", replace(both, oracle=20))
    yield from each("AssociateIamInstanceProfile", "instance", replace(both, oracle=38))
    volume = replace(ec2, tags=(MANAGED, LAUNCH_INTO), why="tags of the source are copied")
    yield from each("AttachVolume", "volume", replace(volume, oracle=22))
    drs = replace(of("drs", 1), why="perhaps: the reference does not say")
    yield from each("TagResource ListTagsForResource", "recovery-instance", drs)
    yield from each("TagResource", "source-server", drs)
    deleted = replace(ec2, tags=(JOB,), why="snapshot of a launch without the managed tag")
    yield from each("DeleteSnapshot", "snapshot", deleted)
    yield from each("RunInstances", "instance", replace(ec2, why="template without the managed tag"))
    shared = replace(ec2, why="shared by a staging account: its tags are not seen here")
    yield from each("CreateVolume", "snapshot", shared)


def terminate() -> Iterator[Row]:
    """TerminateRecoveryInstances, and what DRS then does."""
    yield Row("drs:TerminateRecoveryInstances", "recovery-instance", 1, via=())
    yield from each("DescribeSourceServers", "*", of("drs", 1))
    ec2 = of("ec2", None)
    yield from each("DetachVolume", "volume", replace(ec2, oracle=23, why="before the instance ends"))
    both = replace(ec2, tags=(MANAGED, LAUNCH_INTO), why="tags of the source are copied")
    yield from each("DetachVolume", "volume", replace(both, oracle=23))
    yield from each("DetachVolume", "instance", replace(both, oracle=20))
    yield from each("TerminateInstances", "instance", replace(both, oracle=13))
    yield from each("DetachVolume", "instance", replace(ec2, oracle=20, tags=(MANAGED,)))
    yield from each("DescribeInstances DescribeVolumes", "*", replace(ec2, oracle=3))
    managed = replace(ec2, tags=(MANAGED,))
    yield from each("TerminateInstances", "instance", replace(managed, oracle=13))
    yield from each("DeleteVolume", "volume", replace(managed, oracle=12))
    yield from each("TerminateInstances DetachVolume", "instance", replace(ec2, why="template without the managed tag"))
    yield from each("DeleteVolume", "volume", replace(ec2, tags=(JOB,), why="without the managed tag"))


LAUNCH = [*start(), *making(), *using(), *templates_and_roles(), *networks(), *seen_in_the_field()]
TERMINATE = [*terminate()]
BOTH = list(dict.fromkeys(LAUNCH + TERMINATE))
