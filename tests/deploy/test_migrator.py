"""The function that runs migrations before the services are replaced: taken out of the template, run on moto's ECS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cloud import account, client
from tests.deploy.templates import Loader

pytestmark = pytest.mark.slow  # moto takes seconds to import

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy" / "cloudformation" / "services.yaml"


class CloudFormation(HTTPServer):
    """The other end of the ResponseURL."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers: list[dict[str, Any]] = []


class Answer(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        assert isinstance(self.server, CloudFormation)
        self.server.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


class Context:
    """What Lambda tells a function about its time."""

    def __init__(self, left: int = 900_000) -> None:
        self.left = left

    def get_remaining_time_in_millis(self) -> int:
        return self.left


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    text: str = yaml.load(TEMPLATE.read_text(), Loader)["Resources"]["Migrator"]["Properties"]["Code"]["ZipFile"]
    assert len(text) <= 4096, "CloudFormation takes no more inline"
    space: dict[str, Any] = {}
    exec(text, space)
    return space


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, Any]]:
    """The properties that the template gives the function, for a cluster on moto."""
    with pytest.MonkeyPatch.context() as patch, account(patch.setenv, patch.delenv):
        name = client("ecs").create_cluster(clusterName="drsorch")["cluster"]["clusterArn"]
        definition = client("ecs").register_task_definition(
            family="migrate",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="512",
            memory="1024",
            containerDefinitions=[{"name": "migrate", "image": "registry/drsorch:1", "essential": True}],
        )["taskDefinition"]["taskDefinitionArn"]
        subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        group = client("ec2").describe_security_groups()["SecurityGroups"][0]["GroupId"]
        yield {
            "Cluster": name,
            "TaskDefinition": definition,
            "Subnets": [subnet],
            "SecurityGroup": group,
            "Log": "the engine's log",
        }


def told(
    code: dict[str, Any], properties: dict[str, Any], request: str = "Create", left: int = 900_000
) -> dict[str, Any]:
    """What CloudFormation hears from the function."""
    server = CloudFormation()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    event = {
        "RequestType": request,
        "ResponseURL": f"http://127.0.0.1:{server.server_port}/",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Migration",
        "ResourceProperties": properties,
    }
    try:
        code["handler"](event, Context(left))
    finally:
        server.shutdown()
        server.server_close()
    [answer] = server.answers
    assert (answer["StackId"], answer["RequestId"], answer["LogicalResourceId"]) == ("stack", "request", "Migration")
    return answer


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_it_succeeds_when_the_task_has(code: dict[str, Any], cluster: dict[str, Any], request_type: str) -> None:
    answer = told(code, cluster, request_type)
    assert answer["Status"] == "SUCCESS", answer
    arn = answer["Reason"].removeprefix("Migrated by ")
    [task] = client("ecs").describe_tasks(cluster=cluster["Cluster"], tasks=[arn])["tasks"]
    assert task["taskDefinitionArn"] == cluster["TaskDefinition"]
    assert task["launchType"] == "FARGATE"


def test_it_fails_when_the_migrations_did(
    code: dict[str, Any], cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.ecs.models import Container

    plain = Container.__init__

    def failing(self: Any, *arguments: Any) -> None:
        plain(self, *arguments)
        self.exitCode = 1

    monkeypatch.setattr(Container, "__init__", failing)
    answer = told(code, cluster)
    assert answer["Status"] == "FAILED"
    assert "ended with 1" in answer["Reason"]
    assert "the engine's log" in answer["Reason"]


def test_it_says_so_when_time_runs_out(code: dict[str, Any], cluster: dict[str, Any]) -> None:
    answer = told(code, cluster, left=20_000)
    assert answer["Status"] == "FAILED"
    assert "still run" in answer["Reason"]


def test_what_goes_wrong_reaches_the_stack(code: dict[str, Any], cluster: dict[str, Any]) -> None:
    answer = told(code, cluster | {"Cluster": "no-such-cluster"})
    assert answer["Status"] == "FAILED"
    assert "Cluster not found" in answer["Reason"]


def test_deleting_the_stack_migrates_nothing(code: dict[str, Any]) -> None:
    assert told(code, {}, "Delete")["Status"] == "SUCCESS"
