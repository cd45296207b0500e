"""docs/notifications.md: its example accepts what is genuine and nothing else, and its body is what is sent."""

import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from executions.models import Execution, WaveRun
from executions.runs.gates.asked import Gate
from executions.runs.gates.given import AtGate
from notify.channels import webhook
from notify.delivery_worker import DeliveryWorker
from notify.models import Notice
from notify.states import SUBSCRIBABLE
from tests.console import world
from tests.notify.conftest import Subscribe
from tests.notify.receivers import Receiver

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "notifications.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def is_ours() -> Any:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names["is_ours"]


@pytest.mark.django_db(transaction=True)
def test_its_example_tells_genuine_from_forged_old_and_repeated(
    is_ours: Any, receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = subscribe(receiver.url)
    world.delivery(saved.subscription)
    worker.once()
    worker.drain()
    (request,) = receiver.requests
    headers = {name.title(): value for name, value in request.headers.items()}
    seen: set[str] = set()

    def judged(body: bytes = request.body, secret: str = saved.secret, **changed: str) -> bool:
        sent = headers | {name.replace("_", "-"): value for name, value in changed.items()}
        return bool(is_ours(secret, sent, body, seen))

    assert not judged(body=request.body + b" ")
    assert not judged(secret="whsec_other")
    assert not judged(X_Drsorch_Timestamp=str(int(headers["X-Drsorch-Timestamp"]) + 1))
    assert not judged(X_Drsorch_Signature="")
    monkeypatch.setattr(time, "time", lambda: float(headers["X-Drsorch-Timestamp"]) + 301)
    assert not judged()
    monkeypatch.undo()
    assert judged()
    assert not judged()


@pytest.mark.django_db
def test_its_body_has_the_fields_that_are_sent() -> None:
    from django.db import transaction

    from executions.runs import notifications

    world.subscription()
    run = world.paused()
    with transaction.atomic():
        wave = WaveRun.objects.get(execution=run, number=1)
        at = AtGate(wave, Gate(approvals=2, checklist=("Is the database consistent?",), expires=timedelta(hours=1)))
        notifications.paused(Execution.objects.get(pk=run.pk), at, run.started_at)
    sent = Notice.objects.get(event="PAUSED").data
    shown = json.loads(block("json"))
    added = {"deliveryId", "type", "version", "text"}
    assert set(shown) == {*added, *sent}
    assert (shown["type"], shown["version"]) == ("notification.paused", 1)
    assert {name: type(value) for name, value in shown.items() if name not in added} == {
        name: type(value) for name, value in sent.items()
    }


def test_it_names_every_event_and_header() -> None:
    for word in [*SUBSCRIBABLE, *re.findall(r"X-Drsorch-\w+", Path(webhook.__file__).read_text())]:
        assert f"`{word}`" in PAGE, word
