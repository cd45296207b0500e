"""An account on moto in which CloudFormation builds our stacks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import requests

from deploy import stacks

REGION = "us-east-1"
OF_SNAPSHOT_GIB = 50
MADE: list[tuple[str, str]] = []  # (type, physical id) of what stands, so that tests see it go


def client(service: str) -> Any:
    """Any service of the account; the address is in the environment."""
    make: Any = boto3.client  # its types know each service by a literal name
    return make(service, region_name=REGION)


def build(name: str, template: Path, **parameters: str) -> dict[str, str]:
    """Make a stack and return its outputs."""
    client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=template.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    made = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    assert made["StackStatus"] == "CREATE_COMPLETE"
    return stacks.outputs(name, REGION)


@contextmanager
def account(setenv: Callable[[str, str], None], delenv: Callable[[str], None]) -> Iterator[str]:
    """An empty account for this process and those it starts; yields its address."""
    from moto.moto_api import state_manager  # not above, because every process that collects tests would import it:
    from moto.server import ThreadedMotoServer

    from tests.deploy import taught  # noqa: F401  # … two seconds of a processor

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")]:
        delenv(name)
    setenv("AWS_ENDPOINT_URL", address)
    requests.post(f"{address}/moto-api/reset", timeout=10).raise_for_status()  # what an earlier account left
    state_manager.set_transition("ecs::task", {"progression": "immediate"})
    try:
        yield address
    finally:
        state_manager.unset_transition("ecs::task")
        server.stop()
