"""Receivers, subscriptions and a worker for the tests of notifications."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest
from django.test import override_settings

from audit.actor import SYSTEM
from notify import services
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
