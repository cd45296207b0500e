"""What stands beside DRS, as moto and the simulator answer for it."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from drs import surroundings
from drs.errors import DrsError, Trouble
from drs.running import Running
from drs.surroundings import MANAGED, Surroundings

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")]

REGION = "us-east-1"


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for service in ("EC2", "SERVICE_QUOTAS", "SNS", "EVENTBRIDGE"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", address)
    surroundings._build.cache_clear()
    yield address
    surroundings._build.cache_clear()
    server.stop()


def at(address: str, service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION, endpoint_url=address)


def template(ec2: Any, name: str, data: dict[str, Any]) -> str:
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def test_a_launch_template_is_read_as_ec2_tells_it(moto: str) -> None:
    ec2 = at(moto, "ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    tags = [{"Key": MANAGED, "Value": "drs.amazonaws.com"}]
    key = "arn:aws:kms:us-east-1:123456789012:key/mine"
    whole = template(
        ec2,
        "whole",
        {
            "InstanceType": "m5.large",
            "KeyName": "ops",
            "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": ["sg-2", "sg-1"]}],
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": key}}],
            "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        },
    )
    bare = template(ec2, "bare", {"ImageId": "ami-12345678"})
    beside = Surroundings(REGION)
    found = beside.launch_template(whole)
    assert found == surroundings.LaunchTemplate(
        "m5.large",
        subnet_ids=(subnet,),
        security_groups=("sg-1", "sg-2"),
        tags={kind: {MANAGED: "drs.amazonaws.com"} for kind in ("instance", "volume")},
        key_ids=(key,),
        managed=frozenset({"instance", "volume"}),
        names_hosts=True,
    )
    assert beside.launch_template(bare) == surroundings.LaunchTemplate()
    with pytest.raises(DrsError, match="LaunchTemplateId"):
        beside.launch_template("lt-0123456789abcdef0")


def test_subnets_and_types_are_asked_of_ec2(moto: str) -> None:
    ec2 = at(moto, "ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    beside = Surroundings(REGION)
    assert beside.free_addresses(subnet) > 1000
    assert beside.offered(["m5.large", "m99.huge"]) == {"m5.large"}
    with pytest.raises(DrsError) as told:
        beside.free_addresses("subnet-0123456789abcdef0")
    assert "NotFound" in told.value.code
    made = at(moto, "events").create_event_bus(Name="drsorch-ops")["EventBusArn"]
    for bus in ("default", "drsorch-ops", made):
        Surroundings(REGION).check_bus(bus)
    with pytest.raises(DrsError) as told:
        Surroundings(REGION).check_bus("drsorch-none")
    assert "NotFound" in told.value.code


def test_what_runs_is_counted_by_type_and_a_subnet_that_is_gone_is_left_out(moto: str) -> None:
    ec2 = at(moto, "ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    beside = Running(REGION)
    before = beside.running_types()
    made = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="c5.xlarge", MinCount=3, MaxCount=3)["Instances"]
    ec2.run_instances(
        ImageId="ami-12c6146b", InstanceType="c5.xlarge", MinCount=1, MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
    )  # fmt: skip
    ec2.terminate_instances(InstanceIds=[made[0]["InstanceId"]])
    assert beside.running_types() - before == {"c5.xlarge": 2}
    assert beside.vcpus_of(["c5.xlarge", "m5.large", "m99.huge"]) == {"c5.xlarge": 4, "m5.large": 2}
    assert set(beside.subnets([subnet, "subnet-0123456789abcdef0"])) == {subnet}


def test_topics_and_buses_are_looked_for(moto: str) -> None:
    arn = at(moto, "sns").create_topic(Name="drsorch-ops")["TopicArn"]
    Surroundings(REGION).check_topic(arn)
    with pytest.raises(DrsError) as told:
        Surroundings(REGION).check_topic(arn.replace("ops", "none"))
    assert "NotFound" in told.value.code


def test_beside_a_simulated_drs_the_real_aws_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2"):
        monkeypatch.delenv(name, raising=False)
    surroundings._build.cache_clear()
    try:
        with pytest.raises(DrsError, match="not asked") as told:
            Surroundings(REGION, simulated=True).free_addresses("subnet-0123456789abcdef0")
    finally:
        surroundings._build.cache_clear()
    assert told.value.trouble is Trouble.NOT_SENT
