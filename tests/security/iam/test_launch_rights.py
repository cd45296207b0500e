"""The policies let DRS launch and terminate in our name, and nothing else: judged as IAM does, beside AWS's policy."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from deploy import stacks
from executions.codes.explain import explain
from tests.security.iam.policy import Context, Decision, Request, Statement, as_conditions, as_list, decide
from tests.security.iam.rights_of_a_launch import (
    ACCOUNT,
    BOTH,
    DRS,
    JOB,
    LAUNCH,
    LAUNCH_INTO,
    MANAGED,
    ROLES,
    TERMINATE,
    Row,
    arn,
)

MANAGED_POLICY_CHARACTERS = 6144  # IAM counts no white space


def statements(*names: str) -> list[Statement]:
    files = [json.loads((stacks.POLICIES / f"{name}.json").read_text()) for name in names]
    return [statement for each in files for statement in each["Statement"]]


ENGINE = statements(*stacks.ROLES["Engine"])
WEB = statements(*stacks.ROLES["Web"])
# What AWS gives to whoever starts launches in its console; the file keeps its version and where it is from.
AWS = json.loads((Path(__file__).parent / "AWSElasticDisasterRecoveryConsoleFullAccess_v2.json").read_text())
ORACLE: list[Statement] = AWS["Document"]["Statement"]

# What AWS's policy allows through DRS, or directly, and ours does not: what then does not work.
CONSOLE = "the console of DRS shows it; nothing here asks for it, nor does a launch"
ACTIONS = "post-launch actions: attach AWSElasticDisasterRecoveryLaunchActionsPolicy if your servers have any"
LEFT_OUT = {
    "cloudformation:DescribeStacks": CONSOLE,
    "cloudformation:ListStacks": CONSOLE,
    "ec2:CreateTags launch-template": "templates that exist keep their tags: a new tag could open them to this role",
    "ec2:DeleteTags launch-template": "the same; no launch takes tags away",
    "ec2:DescribeCapacityReservations": CONSOLE,
    "ec2:DescribeHosts": CONSOLE,
    "ec2:DescribeInstanceTypeOfferings": CONSOLE,
    "ec2:DescribeKeyPairs": CONSOLE,
    "ec2:GetEbsDefaultKmsKeyId": CONSOLE,
    "ec2:GetEbsEncryptionByDefault": CONSOLE,
    "elasticloadbalancing:DescribeLoadBalancers": CONSOLE,
    "iam:ListInstanceProfiles": CONSOLE,
    "iam:ListRoles": CONSOLE,
    "kms:DescribeKey": "volumes with a key of yours: give the role that key, as deploy/iam/README.md says",
    "kms:ListAliases": CONSOLE,
    "license-manager:ListLicenseConfigurations": CONSOLE,
    "resource-groups:ListGroups": CONSOLE,
    "s3:GetBucketLocation": CONSOLE,
    "s3:ListAllMyBuckets": CONSOLE,
    "ssm:DescribeDocument": ACTIONS,
    "ssm:DescribeInstanceInformation": ACTIONS,
    "ssm:DescribeParameters": ACTIONS,
    "ssm:GetAutomationExecution": ACTIONS,
    "ssm:GetDocument": ACTIONS,
    "ssm:GetParameter": ACTIONS,
    "ssm:GetParameters": ACTIONS,
    "ssm:ListCommandInvocations": ACTIONS,
    "ssm:ListDocuments": ACTIONS,
    "ssm:PutParameter": ACTIONS,
    "ssm:SendCommand": ACTIONS,
    "ssm:StartAutomationExecution": ACTIONS,
}
# Allowed directly there, and here only through DRS, which is who asks for it.
ONLY_THROUGH_DRS = {
    "ec2:CreateNetworkInterface security-group",
    "ec2:CreateNetworkInterface subnet",
    "ec2:CreateSecurityGroup vpc",
}


@pytest.mark.parametrize("row", LAUNCH, ids=str)
def test_the_engine_may_do_what_a_launch_needs(row: Row) -> None:
    assert decide(ENGINE, row.request()) is Decision.ALLOWED


@pytest.mark.parametrize("process", ["Engine", "Web"])
@pytest.mark.parametrize("row", TERMINATE, ids=str)
def test_both_processes_may_do_what_a_termination_needs(row: Row, process: str) -> None:
    assert decide(statements(*stacks.ROLES[process]), row.request()) is Decision.ALLOWED


@pytest.mark.parametrize("row", BOTH, ids=str)
def test_the_policy_of_aws_says_of_each_row_what_the_row_says(row: Row) -> None:
    found = decide(ORACLE, row.request())
    if row.oracle is None:
        assert row.why
        assert found is Decision.NOT_ALLOWED
    else:
        statement = ORACLE[row.oracle - 1]
        assert statement["Sid"] == f"ConsoleFullAccess{row.oracle}"
        assert decide([statement], row.request()) is Decision.ALLOWED
        assert found is Decision.ALLOWED


def allowed_by(statement: Statement) -> Iterator[Row]:
    """Requests that tell what the statement wants, one for each action, kind of resource and wanted CreateAction."""
    conditions = as_conditions(statement.get("Condition", {}))
    wanted = {key: as_list(value) for keys in conditions.values() for key, value in keys.items()}
    tags = tuple(key.partition("/")[2] for key in wanted if ":ResourceTag/" in key)
    new_tags = tuple(key.partition("/")[2] for key in wanted if ":RequestTag/" in key)
    through = bool({"aws:ViaAWSService", "aws:CalledVia"} & wanted.keys())
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            kind = resource if resource == "*" else resource.split(":", 5)[5].removesuffix("/*")
            for creating in wanted.get("ec2:CreateAction", [""]):
                row = Row(action, kind, None, tags=tags, request_tags=new_tags, creating=creating)
                row = replace(row, passed_to="ec2.amazonaws.com" if action == "iam:PassRole" else "")
                yield row
                if not through and action.startswith(("ec2:", "iam:")) and resource != "*":
                    yield row.directly()


def is_left_out(row: Row) -> bool:
    plain = f"{row.action} {row.kind}"
    if row.action in LEFT_OUT or (not row.via and plain in ONLY_THROUGH_DRS):
        return True
    return plain in LEFT_OUT and not row.creating


@pytest.mark.parametrize("statement", ORACLE[1:], ids=lambda each: each["Sid"])  # the first is drs:*
def test_what_the_policy_of_aws_allows_ours_allows_or_it_is_named_with_what_follows(statement: Statement) -> None:
    for row in allowed_by(statement):
        if not row.action.startswith("ssm:"):
            # what is made with a tag is made without the ones that are tested for
            request = replace(row, request_tags=row.request_tags or ((MANAGED,) if row.creating else ())).request()
            assert decide(ORACLE, request) is Decision.ALLOWED, row
            assert (decide(ENGINE, request) is Decision.ALLOWED) is not is_left_out(row), row
        else:
            assert row.action in LEFT_OUT, row


def test_what_is_left_out_is_in_the_policy_of_aws() -> None:
    rows = [row for statement in ORACLE for row in allowed_by(statement)]
    assert LEFT_OUT.keys() <= {name for row in rows for name in (row.action, f"{row.action} {row.kind}")}
    assert {f"{row.action} {row.kind}" for row in rows if not row.via} >= ONLY_THROUGH_DRS
    assert all(LEFT_OUT.values())


ALSO_DIRECT = {(row.action, row.kind) for row in BOTH if not row.via or row.kind == "*"}


@pytest.mark.parametrize(
    "via", [(), ("cloudformation.amazonaws.com",), ("autoscaling.amazonaws.com", "ec2.amazonaws.com")], ids=str
)
def test_nothing_of_it_may_be_done_but_through_drs(via: tuple[str, ...]) -> None:
    """Whoever has the credentials of a process can call EC2, too: every tag in place, and refused all the same."""
    rows = [row for row in BOTH if (row.action, row.kind) not in ALSO_DIRECT]
    assert len(rows) > 80
    for row in rows:
        for tags in (row.tags, (MANAGED, JOB, LAUNCH_INTO)):
            request = replace(row, via=via, tags=tags, request_tags=row.request_tags or (MANAGED,)).request()
            for told in (request, replace_context(request, {"aws:ViaAWSService": "true" if via else "false"})):
                assert decide(ENGINE, told) is Decision.NOT_ALLOWED, row
                assert decide(WEB, told) is Decision.NOT_ALLOWED, row


def replace_context(request: Request, more: dict[str, str]) -> Request:
    return replace(request, context={**request.context, **more})


def passing(role: str, to: str) -> Row:
    return Row("iam:PassRole", f"role/{role}", None, via=(), passed_to=to)


IN_EC2 = ["instance", "volume", "snapshot", "security-group", "network-interface", "launch-template"]
DANGEROUS = [
    *(
        passing(f"service-role/{role}", to)
        for role in ROLES
        for to in ("lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "")
    ),
    *(passing(role, "ec2.amazonaws.com") for role in ("admin", "service-role/admin", ROLES[0])),
    # a tag put on afterwards would open what the tag guards
    *(Row("ec2:CreateTags", kind, None, tags=(MANAGED,), request_tags=(MANAGED,)) for kind in IN_EC2),
    *(Row("ec2:CreateTags", kind, None, request_tags=(MANAGED,), creating="CopySnapshot") for kind in IN_EC2),
    *(Row("ec2:DeleteTags", kind, None, tags=(MANAGED,)) for kind in IN_EC2),
    # disks, rules and templates that are not DRS's
    Row("ec2:DeleteVolume", "volume", None),
    Row("ec2:DeleteVolume", "volume", None, tags=("Name", LAUNCH_INTO)),
    Row("ec2:DeleteSnapshot", "snapshot", None),
    Row("ec2:AuthorizeSecurityGroupIngress", "security-group", None),
    Row("ec2:ModifyLaunchTemplate", "launch-template", None),
    Row("ec2:CreateLaunchTemplateVersion", "launch-template", None, tags=("Name",)),
    Row("ec2:CreateLaunchTemplate", "launch-template", None),
    Row("ec2:DeleteLaunchTemplate", "launch-template", None, tags=(MANAGED,)),
    Row("ec2:ModifySnapshotAttribute", "snapshot", None, tags=(MANAGED,)),
    Row("ec2:CreateImage", "instance", None, tags=(MANAGED,)),
    # a tag on a source server may be what limits who launches it
    Row("drs:TagResource", "source-server", None, via=(), request_tags=("DR-Managed",)),
    *(
        Row(f"drs:{action}", "source-server", None)
        for action in (
            *("DeleteSourceServer", "DisconnectSourceServer", "StopReplication", "RetryDataReplication"),
            *("UpdateReplicationConfiguration", "UpdateLaunchConfiguration", "PutLaunchAction", "UntagResource"),
            *("StartReplication", "CreateExtendedSourceServer", "ReverseReplication"),
        )
    ),
    *(
        Row(f"drs:{action}", "recovery-instance", None)
        for action in ("DeleteRecoveryInstance", "DisconnectRecoveryInstance", "StartFailbackLaunch", "StopFailback")
    ),
    *(Row(f"drs:{action}", "job", None) for action in ("DeleteJob", "UntagResource")),
    *(
        Row(action, "*", None)
        for action in ("iam:CreateRole", "iam:AttachRolePolicy", "sts:AssumeRole", "ec2:RunInstances")
    ),
]


@pytest.mark.parametrize("row", DANGEROUS, ids=str)
def test_what_is_dangerous_is_denied_through_drs_and_directly(row: Row) -> None:
    for each in (row, row.directly(), replace(row, via=(DRS,))):
        direct = not each.via
        if (each.action, each.kind) == ("drs:TagResource", "source-server") and not direct:
            continue  # DRS itself may: it registers what it launched
        assert decide(ENGINE, each.request()) is not Decision.ALLOWED
        assert decide(WEB, each.request()) is not Decision.ALLOWED


@pytest.mark.parametrize("row", LAUNCH, ids=str)
def test_the_web_processes_launch_nothing(row: Row) -> None:
    """What they share with a launch is looking, and what ends instances."""
    shared = {(each.action, each.kind) for each in TERMINATE} | {
        ("ec2:DetachVolume", "instance"),
        ("ec2:DetachVolume", "volume"),
    }
    if (row.action, row.kind) not in shared:
        assert decide(WEB, row.request()) is not Decision.ALLOWED


def test_another_account_is_out_of_reach() -> None:
    """Networks may be shared with us; everything else that is named belongs to this account."""
    for row in BOTH:
        there = replace(row, account="999999999999").request()
        if there.resource not in ("*", arn(row.kind, ACCOUNT)):
            shared = row.kind in {
                "capacity-reservation",
                "dedicated-host",
                "placement-group",
                "security-group",
                "subnet",
                "vpc",
            }
            assert decide(ENGINE, there) is Decision.NOT_ALLOWED or (shared and row.via), row


@pytest.mark.parametrize("name", sorted({name for names in stacks.ROLES.values() for name in names}))
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_each_policy_fits_into_a_managed_policy_also_with_all_regions(name: str, partition: str) -> None:
    regions = boto3.Session().get_available_regions("drs", partition) or stacks.REGIONS
    text = json.dumps(json.loads((stacks.POLICIES / f"{name}.json").read_text()), separators=(",", ":"))
    text = text.replace(json.dumps(stacks.REGIONS, separators=(",", ":")), json.dumps(regions, separators=(",", ":")))
    assert len(text.replace("arn:aws:", f"arn:{partition}:")) <= MANAGED_POLICY_CHARACTERS


def test_the_policy_that_the_page_gives_for_a_key_is_for_volumes_alone() -> None:
    for said in ("Client.InternalError: Client error on launch", "AuthFailure: the KMS key is disabled"):
        assert "deploy/iam/README.md" in explain(said).advice
    [text] = re.findall(r"```json\n(.*?)```", (stacks.POLICIES / "README.md").read_text(), re.DOTALL)
    found: list[Statement] = json.loads(text)["Statement"]
    key = as_list(found[0]["Resource"])[0]
    told: Context = {"kms:ViaService": "ec2.us-west-2.amazonaws.com", "kms:GrantIsForAWSResource": "true"}
    for action in ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom"):
        request = Request(f"kms:{action}", key, told)
        assert decide(found, request) is Decision.ALLOWED
        assert decide(found, replace(request, context={})) is Decision.NOT_ALLOWED
        assert decide(found, replace(request, resource=key.replace("key/", "key/other-"))) is Decision.NOT_ALLOWED
    for_people = {"kms:ViaService": "ec2.us-west-2.amazonaws.com", "kms:GrantIsForAWSResource": "false"}
    assert decide(found, Request("kms:CreateGrant", key, for_people)) is Decision.NOT_ALLOWED
