"""The brokers by setting: each delivers nudges, none is needed, and a broken one holds up nobody."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ReadTimeoutError
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ

from drsorch_site import settings as site_settings
from executions import brokers, pacemaker, queue
from executions.models import Execution
from tests.support.processes import eventually, running_engine
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(port: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port), what=f"{command[0]} on port {port}")
        yield process
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def redis(port: int) -> Iterator[subprocess.Popen[bytes]]:
    assert shutil.which("redis-server"), "install the Debian package redis-server"
    with server(port, "redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1") as process:
        yield process


@contextmanager
def sqs(port: int) -> Iterator[subprocess.Popen[bytes]]:
    with server(port, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)) as process:
        urlopen(f"http://127.0.0.1:{port}/?Action=ListQueues", timeout=30).close()  # its first answer takes long
        yield process


SERVERS = {"redis": redis, "sqs": sqs}


@contextmanager
def chosen(kind: str, port: int) -> Iterator[dict[str, str]]:
    """This process enqueues to that broker; yields the environment with which an engine does."""
    choice = f"redis://127.0.0.1:{port}/0" if kind == "redis" else "sqs"
    endpoint = {"AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}"}
    options = site_settings._broker(choice)
    queue._broker.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SQS", endpoint["AWS_ENDPOINT_URL_SQS"])
        patch.setattr(Conf, "ORM", None)
        patch.setattr(Conf, "BROKER_CLASS", options["broker_class"])
        patch.setattr(Conf, "REDIS", options.get("redis", {}))
        yield {"DRSORCH_BROKER": choice, **endpoint}
    queue._broker.cache_clear()


@pytest.mark.parametrize("kind", SERVERS)
def test_it_delivers_a_task_and_forgets_it_when_acknowledged(kind: str) -> None:
    port = free_port()
    with SERVERS[kind](port), chosen(kind, port):
        broker = queue._broker(os.getpid())
        assert broker.ping()
        assert broker.info()
        assert broker.queue_size() == 0
        assert queue.enqueue(queue.STEP, "x")
        assert broker.queue_size() == 1
        assert queue.queued() == 1
        ((ack, body),) = broker.dequeue()
        assert body
        if ack is not None:
            broker.acknowledge(ack)
        assert broker.queue_size() == 0
        assert broker.dequeue() == []


@pytest.mark.django_db
@pytest.mark.both
def test_the_database_is_asked_once_while_there_is_no_task(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "POLL", 0)
    broker = queue._broker(os.getpid())
    assert isinstance(broker, brokers.Database)
    assert queue.enqueue(queue.STEP, "x")
    OrmQ.objects.update(lock=timezone.now() + timedelta(seconds=5))  # another engine has it
    with django_assert_num_queries(1):
        assert broker.dequeue() is None
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    ((pk, body),) = broker.dequeue()
    assert OrmQ.objects.get(pk=pk).payload == body
    assert broker.dequeue() is None
    broker.acknowledge(pk)  # type: ignore[no-untyped-call]
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("kind", SERVERS)
def test_it_completes_a_drill_over_each_broker(stage: Stage, kind: str) -> None:
    port = free_port()
    stage.simulator.set_speed(300)
    with SERVERS[kind](port), chosen(kind, port) as environment, running_engine(**environment) as engine:
        eventually(pacemaker.is_alive, what="the beat")
        run = stage.start(stage.plan("app-01", "web-01"))
        eventually(lambda: stage.fresh(run).status == "COMPLETED", what="the end")
        assert engine.stop() == 0
    assert len(stage.launches()) == 2


class LateAnswer(BaseHTTPRequestHandler):
    """SQS as it may be on a busy day: right, and later than a start would wait."""

    def do_POST(self) -> None:
        time.sleep(1)
        body = b'{"QueueUrl": "http://127.0.0.1/1/drsorch"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def test_an_engine_waits_for_a_late_sqs_and_a_start_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), LateAnswer) as late:
        threading.Thread(target=late.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{late.server_port}")
        broker = brokers.Sqs("drsorch")
        assert broker.ping()
        with pytest.raises(ReadTimeoutError):
            broker.enqueue("task")
        late.shutdown()


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
def test_a_broken_broker_holds_up_no_start(stage: Stage, kind: str, trouble: str) -> None:
    plans, took = [stage.plan(each) for each in ("app-01", "app-02", "app-03")], []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if trouble == "hangs":
            silent.listen()
        with chosen(kind, silent.getsockname()[1]):
            queue.nudge(plans[0].pk)  # as in any server that runs: the client's own making is not measured
            for plan in plans:
                began = time.monotonic()
                stage.start(plan)
                took.append(time.monotonic() - began)
    assert min(took) < 1.0  # of three, because a busy machine may hold up any one
    stage.look()
    assert set(Execution.objects.values_list("status", flat=True)) == {"POLLING"}


@pytest.mark.parametrize("seconds", [4, pytest.param(20, marks=pytest.mark.long)])
def test_runs_go_on_while_redis_is_away(stage: Stage, seconds: float) -> None:
    port = free_port()
    stage.simulator.set_speed(300)
    plans = [stage.plan(*names.split()) for names in ("app-01 web-01", "app-02 web-02", "app-03")]
    with chosen("redis", port) as environment, redis(port) as first, running_engine(**environment):
        runs = [stage.start(plans[0])]
        eventually(lambda: stage.fresh(runs[0]).status != "PENDING", what="the first run")
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        gone = time.monotonic()
        runs.append(stage.start(plans[1]))
        eventually(lambda: stage.fresh(runs[1]).status == "COMPLETED", what="a run without Redis")
        time.sleep(max(0.0, seconds - (time.monotonic() - gone)))
        with redis(port):
            runs.append(stage.start(plans[2]))
            eventually(lambda: stage.fresh(runs[2]).status == "COMPLETED", what="a run after it came back")
    assert {stage.fresh(run).status for run in runs} == {"COMPLETED"}
    assert len(stage.launches()) == 5


@pytest.mark.parametrize("choice", ["rabbit", "http://x", ""])
def test_it_refuses_a_broker_that_it_does_not_know(choice: str) -> None:
    environment = {**os.environ, "DRSORCH_BROKER": choice}
    command = [sys.executable, "manage.py", "check"]
    root = Path(site_settings.__file__).resolve().parent.parent
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode != 0
    assert 'Environment variable "DRSORCH_BROKER" invalid' in done.stderr
