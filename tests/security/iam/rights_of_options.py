"""What is asked besides the core where a site uses it: by the name of the policy in deploy/iam that answers for it.

`oracle` counts statements of AWSElasticDisasterRecoveryConsoleFullAccess_v2, or of …LaunchActionsPolicy for
`launch-actions`. Of keys and of hosts neither policy of AWS says anything: those rows have a `why`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drs_simulator.protocol.iam_policy import Context
from tests.security.iam.rights_of_a_launch import (
    ACCOUNT,
    ALL_DISKS,
    JOB,
    LAUNCH_INTO,
    MANAGED,
    REGION,
    Row,
    each,
    of,
)

EC2 = "ec2.amazonaws.com"
KEY = f"arn:aws:kms:us-west-2:{ACCOUNT}:key/KEY"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/drsorch-engine"
TARGET_ROLE = "arn:aws:iam::444455556666:role/drsorch-target"
WEB_ROLE = f"arn:aws:iam::{ACCOUNT}:role/drsorch-web"
LICENSE = f"arn:aws:license-manager:{REGION}:{ACCOUNT}:license-configuration:lic-0123456789abcdef0"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:drsorch-ops"
BUSES = " ".join(f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}" for name in ("default", "drsorch-ops"))
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:drsorch"
PLAN_OF_DRS = f"arn:aws:drs:{REGION}:{ACCOUNT}:recovery-plan/x"
STEP_OF_DRS = f"arn:aws:drs:{REGION}:{ACCOUNT}:recovery-plan-step/x"
SENDER = f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com"


def document(kind: str, name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:ssm:{REGION}:{account}:{kind}/{name}"


PARAMETER = document("parameter", "ManagedByAWSElasticDisasterRecoveryService-x")
# Of AWS, and of the account's own; an automation's ARN ends in its version.
OF_AWS = [document("document", name, "") for name in ("AWSDRS-VerifyTags", "AmazonCloudWatch-x", "AwsVssComponents-x")]
OF_AWS += [
    document("automation-definition", f"{name}:$DEFAULT", "") for name in ("AWS-x", "AmazonECS-x", "AwsVssComponents-x")
]
OWN = [document("document", "mine"), document("automation-definition", "mine:1"), document("automation-execution", "x")]


@dataclass(frozen=True)
class Of(Row):
    """A row whose request tells something that no other row's does."""

    told: tuple[tuple[str, str], ...] = ()

    def context(self) -> Context:
        return {**super().context(), **dict(self.told)}


def flexible_types() -> Iterator[Row]:
    ec2 = of("ec2", None)
    yield from each("CreateFleet", "instance fleet volume subnet image launch-template", replace(ec2, oracle=39))
    yield from each("GetInstanceTypesFromInstanceRequirements", "*", replace(ec2, oracle=3))
    tagging = replace(ec2, request_tags=(MANAGED,), creating="CreateFleet")
    yield from each("CreateTags", ALL_DISKS, replace(tagging, oracle=40))


def existing_instances() -> Iterator[Row]:
    into = replace(of("ec2", 21), tags=(LAUNCH_INTO,))
    actions = "AttachVolume DetachVolume StartInstances GetConsoleOutput GetConsoleScreenshot"
    yield from each(actions, "instance", into)
    yield Row("ssm:SendCommand", "instance", None, tags=(LAUNCH_INTO,), why="statement 5 of LaunchActionsPolicy")


def dedicated_hosts() -> Iterator[Row]:
    named = replace(of("ec2", None), why="named in the launch template")
    kinds = f"dedicated-host placement-group key-pair capacity-reservation {LICENSE}"
    yield from each("RunInstances", kinds, named)


def launch_actions() -> Iterator[Row]:
    ssm = of("ssm", None)
    yield from each("DescribeInstanceInformation DescribeParameters", "*", replace(ssm, oracle=1))
    yield from each("SendCommand StartAutomationExecution", " ".join(OWN), replace(ssm, oracle=2))
    yield from each("SendCommand StartAutomationExecution", " ".join(OF_AWS), replace(ssm, oracle=3))
    yield from each("SendCommand", "instance", replace(ssm, oracle=4, tags=(MANAGED,)))
    yield from each("SendCommand", "instance", replace(ssm, tags=(JOB,), why="template without the managed tag"))
    direct = replace(ssm, via=())
    yield from each("ListCommandInvocations", "*", replace(direct, oracle=6))
    documents = f"{OWN[0]} {OF_AWS[0]}"
    yield from each("GetDocument DescribeDocument", documents, replace(direct, oracle=7))
    yield from each("GetAutomationExecution", OWN[2], replace(direct, oracle=8, tags=(MANAGED,)))
    yield from each("GetParameters", PARAMETER, replace(ssm, oracle=9, via=("drs.amazonaws.com", "ssm.amazonaws.com")))
    yield from each("GetParameter", PARAMETER, replace(direct, oracle=10))


def keys() -> Iterator[Row]:
    """Asked by EBS for EC2, which DRS asked: the key's service is EC2, and the volume is the grant's."""
    told = (("kms:ViaService", "ec2.us-west-2.amazonaws.com"),)
    via = ("drs.amazonaws.com", EC2)
    why = "AWS's policies grant no use of a key"
    like = Of("kms", "", None, via=via, told=told, why=why)
    yield replace(like, action="kms:DescribeKey", kind=KEY, oracle=2)
    yield from each("Decrypt GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo", KEY, like)
    yield from each("CreateGrant", KEY, replace(like, told=(*told, ("kms:GrantIsForAWSResource", "true"))))


def check() -> Iterator[Row]:
    """`manage.py doctor` and Settings → Check: asked by us, directly."""
    ours = replace(of("iam", None), via=(), why="asked by the product itself")
    yield from each("SimulatePrincipalPolicy", f"{ROLE} {WEB_ROLE}", ours)
    yield from each("ListServiceQuotas", "*", replace(ours, action="servicequotas"))
    yield from each("GetLaunchConfiguration", "*", replace(ours, action="drs", oracle=1))
    looking = "DescribeInstanceTypeOfferings DescribeLaunchTemplateVersions DescribeSubnets"
    yield from each(looking, "*", replace(ours, action="ec2", oracle=3))
    yield from each("GetTopicAttributes", TOPIC, replace(ours, action="sns"))
    yield from each("DescribeEventBus", BUSES, replace(ours, action="events"))


def engine() -> Iterator[Row]:
    """What an engine asks of DRS and EC2 besides launching."""
    ours = replace(of("drs", 1), via=())
    reading = "DescribeSourceServers DescribeJobs DescribeJobLogItems DescribeRecoveryInstances"
    yield from each(f"{reading} DescribeRecoverySnapshots GetLaunchConfiguration", "*", ours)
    yield Row("ec2:DescribeInstanceStatus", "*", 3, via=(), why="status checks")
    yield Row("ec2:DescribeInstances", "*", 3, via=(), why="with DescribeRecoveryInstances, and what runs")
    room = replace(of("ec2", 3), via=(), why="launch settings, room for a launch")
    yield from each("DescribeInstanceTypes DescribeLaunchTemplateVersions DescribeSubnets", "*", room)
    yield Row("sts:GetCallerIdentity", "*", None, via=(), why="whose credentials they are")


def web() -> Iterator[Row]:
    ours = replace(of("drs", 1), via=())
    reading = "DescribeSourceServers DescribeJobs DescribeRecoveryInstances DescribeRecoverySnapshots"
    yield from each(reading, "*", ours)
    yield Row("ec2:DescribeInstances", "*", 3, via=(), why="with DescribeRecoveryInstances")
    yield Row("sts:GetCallerIdentity", "*", None, via=(), why="whose credentials they are")


def accounts() -> Iterator[Row]:
    """By both processes, with their own credentials."""
    yield Row("sts:AssumeRole", TARGET_ROLE, None, via=(), why="the role of another account")


def native_plans() -> Iterator[Row]:
    """By both processes: DRS's own recovery plans, of which AWS's policies do not speak yet."""
    ours = replace(of("drs", 1), via=(), why="written by the product itself")
    reading = "ListRecoveryPlans GetRecoveryPlan ListRecoveryPlanSteps ListRecoveryPlanExecutions"
    reading += " ListRecoveryPlanExecutionSteps"
    yield from each(f"{reading} CreateRecoveryPlan", "*", ours)
    changing = "UpdateRecoveryPlan DeleteRecoveryPlan CreateRecoveryPlanStep DeleteRecoveryPlanStep TagResource"
    yield from each(changing, f"{PLAN_OF_DRS} {STEP_OF_DRS}", ours)


def takeover() -> Iterator[Row]:
    """By engines and `manage.py takeover`: which installation may launch a server, and no other tag of it."""
    yield Row("drs:TagResource", "source-server", 1, via=(), request_tags=("drsorch:installation",))


def queue() -> Iterator[Row]:
    ours = replace(of("sqs", None), via=(), why="asked by the broker")
    actions = "GetQueueUrl CreateQueue GetQueueAttributes SendMessage ReceiveMessage DeleteMessage"
    yield from each(actions, QUEUE, ours)


def notify() -> Iterator[Row]:
    ours = replace(of("sns", None), via=(), why="asked by the channels")
    yield from each("Publish", TOPIC, ours)
    yield from each(
        "PutEvents", BUSES, Of("events", "", None, via=(), told=(("events:source", "drsorch"),), why=ours.why)
    )
    yield from each("SendEmail SendRawEmail", SENDER, replace(ours, action="ses"))


# By the file that alone answers for them.
ROWS: dict[str, list[Row]] = {
    "flexible-types": [*flexible_types()],
    "existing-instances": [*existing_instances()],
    "dedicated-hosts": [*dedicated_hosts()],
    "launch-actions": [*launch_actions()],
    "keys": [*keys()],
    "check": [*check()],
    "engine": [*engine()],
    "web": [*web()],
    "accounts": [*accounts()],
    "native-plans": [*native_plans()],
    "takeover": [*takeover()],
    "queue": [*queue()],
    "notify": [*notify()],
}
