"""The web server goes and comes while people work: what was acknowledged is there once, and a reload fails nobody."""

import signal
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from contract.models import IdempotencyKey
from executions.models import Execution
from identity.tokens import make_token
from tests.executions.conftest import stage
from tests.support.api_client import make_user
from tests.support.processes import eventually
from tests.support.stage import Stage
from tests.support.web_server import WebServer, web_server

__all__ = ["stage"]

pytestmark = [pytest.mark.postgresql, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
CLIENTS = 4
PATIENCE = 90.0  # while new workers load the product, requests wait at the door


@dataclass
class Client(threading.Thread):
    """Somebody's script: starts dry runs one after the other, each with a key, and asks again until it is answered."""

    server: WebServer
    user: User
    plan: str
    stopped: threading.Event
    acknowledged: dict[str, str] = field(default_factory=dict)  # key and run
    trouble: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.token = make_token(self.user, timedelta(hours=1))

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.stopped.is_set():
            key = uuid.uuid4().hex
            answer = self.until_answered(key)
            if answer is not None:
                self.acknowledged[key] = answer["executionId"]

    def until_answered(self, key: str) -> Any:
        body = {"planId": self.plan, "executionType": "DRILL", "dryRun": True}
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end:
            try:
                answer = requests.post(
                    f"{self.server.url}/api/v1/executions", json=body, headers=headers, timeout=PATIENCE
                )
            except requests.RequestException as error:
                self.trouble.append(type(error).__name__)
                time.sleep(0.1)
                continue
            if answer.status_code == 202:
                return answer.json()
            self.trouble.append(f"{answer.status_code} {answer.text[:200]}")
            time.sleep(0.1)
        return None


class Crowd:
    """Clients at work until the end of the block."""

    def __init__(self, server: WebServer, stage: Stage) -> None:
        self.stopped = threading.Event()
        user = make_user("admin")
        plans = [stage.plan(name) for name in ("app-01", "web-01", "app-02", "web-02")[:CLIENTS]]
        self.clients = [Client(server, user, str(plan.pk), self.stopped) for plan in plans]

    def __enter__(self) -> "Crowd":
        for each in self.clients:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for each in self.clients:
            each.join(3 * PATIENCE)

    @property
    def done(self) -> int:
        return sum(len(each.acknowledged) for each in self.clients)

    def goes_on(self) -> None:
        before = self.done
        eventually(lambda: self.done >= before + CLIENTS * 2, 2 * PATIENCE, what="more starts")


def test_a_restart_under_load_loses_and_doubles_nothing(stage: Stage) -> None:
    with web_server() as server:
        with Crowd(server, stage) as crowd:
            crowd.goes_on()
            server.signal(signal.SIGHUP)  # new workers, old ones end what they have begun
            crowd.goes_on()
            reloaded = [text for each in crowd.clients for text in each.trouble]
            server.stop()  # what systemd and Docker do
            server.start()
            crowd.goes_on()
            server.kill()  # what a power cut does
            server.start()
            crowd.goes_on()
        assert reloaded == []
    acknowledged = [run for each in crowd.clients for run in each.acknowledged.values()]
    assert all(not each.is_alive() for each in crowd.clients)
    assert len(set(acknowledged)) == len(acknowledged)  # no key got another's run
    assert {str(pk) for pk in Execution.objects.values_list("pk", flat=True)} == set(acknowledged)
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {
        key for c in crowd.clients for key in c.acknowledged
    }
    trouble = {text for each in crowd.clients for text in each.trouble}
    assert trouble <= {"ConnectionError", "ReadTimeout", "ChunkedEncodingError"}, trouble  # never a wrong answer
    assert trouble  # or nothing was under way when it was killed
