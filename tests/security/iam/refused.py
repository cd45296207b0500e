"""What the policies refuse: on purpose though AWS's allow it, with what follows, and what nobody may do with them."""

from dataclasses import replace

from tests.security.iam.rights_of_a_launch import ACCOUNT, LAUNCH_INTO, MANAGED, REGION, ROLES, Row
from tests.security.iam.rights_of_options import BUSES, KEY, OWN, PARAMETER, PLAN_OF_DRS, ROLE, Of, document

# What AWS's policies allow through DRS, or directly, and ours do not: what then does not work.
CONSOLE = "the console of DRS shows it; nothing here asks for it, nor does a launch"
SET_UP = "who sets actions up does it in DRS's console, with rights of their own; actions that are there run"
LEFT_OUT = {
    "cloudformation:DescribeStacks": CONSOLE,
    "cloudformation:ListStacks": CONSOLE,
    "ec2:CreateTags launch-template": "templates that exist keep their tags: a new tag could open them to this role",
    "ec2:DeleteTags launch-template": "the same; no launch takes tags away",
    "ec2:DescribeCapacityReservations": CONSOLE,
    "ec2:DescribeHosts": CONSOLE,
    "ec2:DescribeKeyPairs": CONSOLE,
    "ec2:GetEbsDefaultKmsKeyId": CONSOLE,
    "ec2:GetEbsEncryptionByDefault": CONSOLE,
    "elasticloadbalancing:DescribeLoadBalancers": CONSOLE,
    "iam:ListInstanceProfiles": CONSOLE,
    "iam:ListRoles": CONSOLE,
    "kms:DescribeKey *": "volumes with a key of yours: keys.json allows it for that key",
    "kms:ListAliases": CONSOLE,
    "license-manager:ListLicenseConfigurations": CONSOLE,
    "resource-groups:ListGroups": CONSOLE,
    "s3:GetBucketLocation": CONSOLE,
    "s3:ListAllMyBuckets": CONSOLE,
    "ssm:ListDocumentVersions": CONSOLE,
    "ssm:ListDocuments": CONSOLE,
    "ssm:PutParameter": SET_UP,
}
# Allowed directly there, and here only through DRS, which is who asks for it.
ONLY_THROUGH_DRS = {
    "ec2:CreateNetworkInterface security-group",
    "ec2:CreateNetworkInterface subnet",
    "ec2:CreateSecurityGroup vpc",
}


def passing(role: str, to: str) -> Row:
    return Row("iam:PassRole", f"role/{role}", None, via=(), passed_to=to)


GRANT = (("kms:ViaService", "ec2.us-west-2.amazonaws.com"), ("kms:GrantIsForAWSResource", "true"))


def _keys() -> list[Row]:
    """A key is for volumes, by EC2's own hand: not to read with, nor to hand on."""
    used = ("Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant")
    by_ec2 = (("kms:ViaService", "ec2.us-west-2.amazonaws.com"),)
    by_s3 = (("kms:ViaService", "s3.us-west-2.amazonaws.com"), ("kms:GrantIsForAWSResource", "true"))
    for_people = (*by_ec2, ("kms:GrantIsForAWSResource", "false"))
    return [
        *(Of(f"kms:{each}", KEY, None, via=(), told=told) for each in used for told in ((), by_s3)),
        Of("kms:CreateGrant", KEY, None, told=for_people),
        Of("kms:CreateGrant", KEY, None, told=by_ec2),
        Of("kms:Decrypt", KEY.replace("key/", "key/other-"), None, told=by_ec2),
        *(Of(f"kms:{each}", KEY, None, told=by_s3) for each in ("DescribeKey", "ReEncryptFrom", "ReEncryptTo")),
        *(Of(f"kms:{each}", KEY, None, told=by_ec2) for each in ("ScheduleKeyDeletion", "PutKeyPolicy", "DisableKey")),
    ]


def _commands() -> list[Row]:
    """Commands run where DRS launched, by DRS: not on anybody's instance, and not by us."""
    ssm = Row("ssm:SendCommand", "instance", None)
    return [
        ssm,
        replace(ssm, tags=("Name",)),
        replace(ssm, action="ssm:GetAutomationExecution", kind=OWN[2]),
        replace(ssm, kind=document("document", "theirs", "999999999999")),
        replace(ssm, action="ssm:GetParameter", kind=document("parameter", "secret")),
        replace(ssm, action="ssm:GetParameters", kind=document("parameter", "secret")),
        *(replace(ssm, action=f"ssm:{each}", kind=PARAMETER) for each in ("PutParameter", "DeleteParameter")),
        *(replace(ssm, action=f"ssm:{each}", kind=OWN[0]) for each in ("CreateDocument", "UpdateDocument")),
        replace(ssm, action="ssm:StartSession", kind="*"),
    ]


def _others() -> list[Row]:
    """What has our names in another account, or other names in ours."""
    there = "999999999999"
    shared = replace(Row("ec2:AuthorizeSecurityGroupIngress", "security-group", None), account=there, tags=(MANAGED,))
    names = {
        "sns:Publish": f"arn:aws:sns:{REGION}:{ACCOUNT}:payroll",
        "sns:GetTopicAttributes": f"arn:aws:sns:{REGION}:{ACCOUNT}:payroll",
        "events:DescribeEventBus": f"arn:aws:events:{REGION}:{there}:event-bus/drsorch-ops",
        "ses:SendEmail": f"arn:aws:ses:{REGION}:{there}:identity/example.com",
        "sqs:DeleteMessage": f"arn:aws:sqs:{REGION}:{ACCOUNT}:payroll",
        "ssm:GetDocument": document("document", "theirs", there),
    }
    told = (("aws:ResourceTag/AWSDRS", "no"), ("ec2:ResourceTag/AWSDRS", "no"))
    return [
        shared,
        *(Row(action, arn, None, via=()) for action, arn in names.items()),
        Row("ssm:GetAutomationExecution", document("automation-execution", "x", there), None, tags=(MANAGED,)),
        Of("kms:CreateGrant", KEY.replace("key/", "key/other-"), None, told=GRANT),
        Of("ec2:AttachVolume", "instance", None, told=told),
        Of("events:PutEvents", BUSES.split()[1], None, via=(), told=(("events:source", "aws.payroll"),)),
        Of(
            "events:PutEvents",
            f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/payroll",
            None,
            via=(),
            told=(("events:source", "drsorch"),),
        ),
    ]


def _plans_of_drs() -> list[Row]:
    """DRS's own recovery plans in a region that is not used here, or of another account."""
    elsewhere = (("aws:RequestedRegion", "eu-north-1"),)
    changing = ("UpdateRecoveryPlan", "DeleteRecoveryPlan", "CreateRecoveryPlanStep", "DeleteRecoveryPlanStep")
    theirs = PLAN_OF_DRS.replace(ACCOUNT, "999999999999")
    return [
        *(Of(f"drs:{each}", PLAN_OF_DRS, None, via=(), told=elsewhere) for each in changing),
        *(Of(f"drs:{each}", "*", None, via=(), told=elsewhere) for each in ("ListRecoveryPlans", "CreateRecoveryPlan")),
        *(Row(f"drs:{each}", theirs, None, via=()) for each in changing),
    ]


IN_EC2 = ["instance", "volume", "snapshot", "security-group", "network-interface", "launch-template"]
DANGEROUS = [
    *_plans_of_drs(),
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
    # an instance of the customer's that is offered to be launched into, and nothing more
    *(Row(f"ec2:{each}Instances", "instance", None, tags=(LAUNCH_INTO,)) for each in ("Stop", "Terminate")),
    Row("ec2:ModifyInstanceAttribute", "instance", None, tags=(LAUNCH_INTO,)),
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
    Row("drs:TagResource", "source-server", None, via=(), request_tags=("drsorch:installation", "DR-Managed")),
    Row("drs:TagResource", "source-server", None, via=()),
    Row("drs:TagResource", "recovery-instance", None, via=(), request_tags=("drsorch:installation",)),
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
    Row("iam:SimulatePrincipalPolicy", f"{ROLE}-other", None, via=()),
    *_keys(),
    *_commands(),
    *_others(),
]
