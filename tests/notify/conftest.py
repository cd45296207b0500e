"""Receivers, subscriptions and a worker for the tests of notifications."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import boto3
import pytest
from django.test import override_settings

from audit.actor import SYSTEM
from notify import services
from notify.channels import eventbridge, ses, sns
from notify.delivery_worker import DeliveryWorker
from notify.services import Saved, Wanted
from notify.states import OF_RUNS
from tests.executions.conftest import stage
from tests.notify.receivers import Receiver, http_receiver

__all__ = ["stage"]

Subscribe = Callable[..., Saved]


@pytest.fixture
def here() -> Iterator[None]:
    """Webhooks may lead to this machine, and by http."""
    with override_settings(WEBHOOK_NETWORKS=[ip_network("127.0.0.0/8")], WEBHOOK_PLAIN=True):
        yield


@pytest.fixture
def receiver(here: None) -> Iterator[Receiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def subscribe() -> Subscribe:
    """`subscribe(url)` has a webhook told of everything; keywords as of Wanted."""

    def make(target: str, name: str = "On call", **given: object) -> Saved:
        wanted = {"channel": "WEBHOOK", "plan_id": None, "events": list(OF_RUNS), **given}
        return services.create(actor=SYSTEM, name=name, wanted=Wanted(name, target=target, **wanted))  # type: ignore[arg-type]

    return make


@pytest.fixture
def worker(transactional_db: None) -> Iterator[DeliveryWorker]:
    made = DeliveryWorker()
    yield made
    made.drain(15)
    made.close()


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # not above: every process that collects tests would wait for it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def at_aws(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """boto3 clients of a service at moto, for the product and for the test."""
    for service in ("SNS", "SESV2", "EVENTBRIDGE"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws)
    for module in (sns, ses, eventbridge):
        module._build.cache_clear()
    yield lambda service: boto3.session.Session().client(service, region_name="us-east-1", endpoint_url=aws)
    for module in (sns, ses, eventbridge):
        module._build.cache_clear()
