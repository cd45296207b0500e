"""The roles as the stack makes them, in use: moto lets their credentials do what their policies allow, and no more.

moto looks up who asks and which policies the role has by now. It judges neither resources nor conditions; that is done
here by the evaluator of tests/security/iam, with what the request tells.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import stacks
from drs_simulator.protocol.iam_policy import Decision, Request, Statement, decide
from tests.deploy.cloud import REGION, account, build, client
from tests.security.iam.rights_of_a_launch import DRS, MANAGED

HERE = "123456789012"
THROUGH_DRS = "X-Test-Called-Via"  # a request that DRS makes in our name, which only AWS itself could make
IDS = {"InstanceId": "instance", "VolumeId": "volume", "SnapshotId": "snapshot"}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")]


def statements_of(request: Any) -> list[Statement]:
    from moto.iam.models import Policy  # in here, as in cloud.py: it takes long

    texts = [
        next(each.document for each in policy.versions if each.is_default)
        if isinstance(policy, Policy)
        else policy
        if isinstance(policy, str)
        else policy["policy_document"]
        for policy in request._access_key.collect_policies()
    ]
    return [statement for text in texts for statement in json.loads(text)["Statement"]]


def asked(request: Any) -> Iterator[Request]:
    """A question for every resource that the request names, as IAM asks."""
    from moto.ec2.models import ec2_backends

    context: dict[str, str | list[str]] = {"aws:RequestedRegion": request._region, "aws:PrincipalAccount": HERE}
    if via := request._headers.get(THROUGH_DRS):
        context |= {"aws:CalledVia": [via], "aws:ViaAWSService": "true"}
    data = {key: value[0] if isinstance(value, list) else value for key, value in request._data.items()}
    if bytes(request._body).startswith(b"{"):
        data |= json.loads(request._body)
    names = [value for key, value in data.items() if key == "TopicArn"]
    queue = data.get("QueueName") or str(data.get("QueueUrl", "")).rpartition("/")[2]
    names += [f"arn:aws:sqs:{request._region}:{HERE}:{queue}"] if queue else []
    for name in names:
        yield Request(request._action, name, context)
    found = [(kind, value) for key, value in data.items() for word, kind in IDS.items() if key.split(".")[0] == word]
    for kind, value in found:
        owner = "" if kind == "snapshot" else HERE
        tags = ec2_backends[HERE][request._region].describe_tags(filters={"resource-id": [value]})
        told = {f"{scope}:ResourceTag/{each['key']}": each["value"] for each in tags for scope in ("aws", "ec2")}
        yield Request(request._action, f"arn:aws:ec2:{request._region}:{owner}:{kind}/{value}", context | told)
    if not names and not found:
        yield Request(request._action, "*", context)


def enforce(request: Any, resource: str) -> None:
    statements = statements_of(request)
    if not all(decide(statements, each) is Decision.ALLOWED for each in asked(request)):
        request._raise_access_denied()


@pytest.fixture(scope="module")
def roles() -> Iterator[dict[str, Any]]:
    """The credentials of each process, in an account that enforces what the roles allow."""
    with pytest.MonkeyPatch.context() as patch, account(patch.setenv, patch.delenv):
        made = build("acting-roles", stacks.TEMPLATES / "iam.json", DrsRegions=REGION, **switches())
        for name in ("drsorch-ops", "payroll"):
            client("sns").create_topic(Name=name)
        client("sqs").create_queue(QueueName="payroll")
        given = {
            process: client("sts").assume_role(RoleArn=made[f"{process}Role"], RoleSessionName="test")["Credentials"]
            for process in stacks.ROLES
        }
        from moto.iam.access_control import IAMRequestBase

        patch.setattr(IAMRequestBase, "check_action_permitted", enforce)
        patch.setattr(IAMRequestBase, "check_signature", lambda request: None)
        yield given


def switches() -> dict[str, str]:
    return dict.fromkeys(stacks.SWITCHES.values(), "true")


@pytest.fixture
def enforced(roles: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
    return roles


def as_role(credentials: Any, service: str, *, region: str = REGION, via: str = "") -> Any:
    make: Any = boto3.client
    made = make(
        service,
        region_name=region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    if via:
        made.meta.events.register("before-sign.*", lambda request, **_: request.headers.add_header(THROUGH_DRS, via))
    return made


def topic(name: str) -> str:
    return f"arn:aws:sns:{REGION}:{HERE}:{name}"


DENIED = r"AccessDenied|not authorized"


def test_an_engine_publishes_to_our_topics_alone(enforced: dict[str, Any]) -> None:
    as_role(enforced["Engine"], "sns").publish(TopicArn=topic("drsorch-ops"), Message="x")
    for process, name in (("Engine", "payroll"), ("Web", "drsorch-ops")):
        with pytest.raises(ClientError, match=DENIED):
            as_role(enforced[process], "sns").publish(TopicArn=topic(name), Message="x")


@pytest.mark.parametrize("process", ["Web", "Engine"])
def test_both_use_our_queue_alone(enforced: dict[str, Any], process: str) -> None:
    sqs = as_role(enforced[process], "sqs")
    ours = sqs.create_queue(QueueName="drsorch")["QueueUrl"]
    sqs.send_message(QueueUrl=ours, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=ours)["Messages"]
    sqs.delete_message(QueueUrl=ours, ReceiptHandle=message["ReceiptHandle"])
    with pytest.raises(ClientError, match=DENIED):
        sqs.send_message(QueueUrl=ours.replace("drsorch", "payroll"), MessageBody="x")


def test_both_look_into_the_named_regions_alone(enforced: dict[str, Any]) -> None:
    for process in ("Web", "Engine"):
        assert as_role(enforced[process], "ec2").describe_instances()["ResponseMetadata"]["HTTPStatusCode"] == 200
        with pytest.raises(ClientError, match=DENIED):
            as_role(enforced[process], "ec2", region="eu-west-1").describe_instances()
    with pytest.raises(ClientError, match=DENIED):
        as_role(enforced["Web"], "ec2").describe_snapshots()
    with pytest.raises(ClientError, match=DENIED):
        as_role(enforced["Engine"], "iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}")


@pytest.mark.parametrize("tags", [{MANAGED: DRS}, {}], ids=["managed", "untagged"])
def test_disks_and_instances_are_drs_s_to_handle(roles: dict[str, Any], tags: dict[str, str]) -> None:
    """Volume from a snapshot, root disk out, disk in, start, stop, end: through DRS all of it, directly none."""
    ec2 = client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    [instance] = [each["InstanceId"] for each in ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]]
    [described] = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    root = described["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    zone = described["Placement"]["AvailabilityZone"]
    disk = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    if tags:
        ec2.create_tags(Resources=[instance, disk], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    ours = as_role(roles["Engine"], "ec2")
    drs = as_role(roles["Engine"], "ec2", via=DRS)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("stop_instances", {"InstanceIds": [instance]}),
        ("detach_volume", {"InstanceId": instance, "VolumeId": root}),
        ("attach_volume", {"InstanceId": instance, "VolumeId": disk, "Device": "/dev/sda1"}),
        ("start_instances", {"InstanceIds": [instance]}),
        ("terminate_instances", {"InstanceIds": [instance]}),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        for operation, given in steps:
            with pytest.raises(ClientError, match=DENIED):
                getattr(ours, operation)(**given)
            getattr(drs, operation)(**given)
    left = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert left["State"]["Name"] in ("terminated", "shutting-down")


def test_an_instance_that_is_offered_is_not_ended(roles: dict[str, Any]) -> None:
    ec2 = client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    [instance] = [each["InstanceId"] for each in ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "AWSDRS", "Value": "AllowLaunchingIntoThisInstance"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        for process in ("Engine", "Web"):
            with pytest.raises(ClientError, match=DENIED):
                as_role(roles[process], "ec2", via=DRS).terminate_instances(InstanceIds=[instance])
        as_role(roles["Engine"], "ec2", via=DRS).start_instances(InstanceIds=[instance])
        with pytest.raises(ClientError, match=DENIED):
            as_role(roles["Web"], "ec2", via=DRS).start_instances(InstanceIds=[instance])
