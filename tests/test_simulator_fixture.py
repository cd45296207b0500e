"""The `simulator` fixture is what the product's own clients reach."""

import boto3

from drs_simulator.testing import RunningSimulator


def test_it_is_where_clients_look(simulator: RunningSimulator) -> None:
    servers = boto3.client("drs").describe_source_servers(filters={})["items"]
    assert servers
    assert boto3.client("sts").get_caller_identity()["Account"]
    assert [call["operation"] for call in simulator.journal()] == ["DescribeSourceServers", "GetCallerIdentity"]


def test_it_forgets_the_test_before(simulator: RunningSimulator) -> None:
    assert not simulator.journal()
