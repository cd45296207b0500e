"""The web server is up quickly, its processes share what they loaded, and one that is renewed loses no request."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from bench.measures import cpu_seconds
from tests.support.processes import ROOT, children, descendants, eventually
from tests.support.web_server import WebServer, web_server
from tests.yardstick import is_quick

pytestmark = pytest.mark.django_db(transaction=True)
RENEWED_AFTER = ("--max-requests", "30", "--max-requests-jitter", "10")
EACH = 60


def kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def ask(server: WebServer, kept: bool, trouble: list[str]) -> None:
    """As a browser or a balancer does, on a connection that is kept, or as a script does."""
    session = requests.Session()
    for number in range(EACH):
        try:
            if kept:
                answer = session.get(f"{server.url}/api/v1/recovery-plans", timeout=30)
            elif number % 2:
                answer = requests.post(f"{server.url}/api/v1/executions", json={"n": "x" * 20_000}, timeout=30)
            else:
                answer = requests.get(f"{server.url}/healthz", timeout=30)
        except requests.RequestException as error:
            trouble.append(repr(error))
        else:
            if answer.status_code not in (200, 401):
                trouble.append(f"{answer.status_code} {answer.text[:200]}")


def started_for(most: float, tries: int = 4) -> bool:
    """Whether it answers for the first time after `most` seconds of CPU. What runs beside it on the same core makes a
    second of CPU do less, so the best of some tries counts."""
    for _ in range(tries):
        with web_server() as server:
            assert server.process is not None
            if is_quick(cpu_seconds(descendants(server.process.pid)), most):
                return True
    return False


def test_it_starts_quickly() -> None:
    assert started_for(2.0)


def test_it_shares_memory_and_renews_its_processes_without_losing_a_request() -> None:
    with web_server(options=RENEWED_AFTER) as server:
        assert server.process is not None
        master = server.process.pid
        eventually(lambda: len(children(master)) == 2, what="two processes")
        workers = children(master)
        for each in workers:
            assert kib(each, "Private_Dirty") < kib(each, "Rss") / 3
        seen, trouble = set(workers), list[str]()
        people = [threading.Thread(target=ask, args=[server, kept, trouble]) for kept in (True, True, True, False)]
        for person in people:
            person.start()
        while any(person.is_alive() for person in people):
            people[0].join(0.05)
            seen.update(children(master))
        assert trouble == []
        assert len(seen) >= 5  # 240 requests, of which one process answers 40 at most
        eventually(lambda: len(children(master)) == 2, what="two processes again")


def test_what_is_loaded_before_the_fork_holds_no_connection_and_no_thread() -> None:
    """Neither would be whole in the processes that are forked."""
    program = """if True:
        import threading
        import drsorch_site.wsgi
        from django.db import connections
        from console.templatetags.console import _outline
        from drsorch_site.schema import document
        assert [each.connection for each in connections.all(initialized_only=True)] in ([], [None])
        assert not any("pool" in vars(each) or getattr(type(each), "_connection_pools", None)
                       for each in connections.all(initialized_only=True))
        assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
        assert _outline.cache_info().currsize > 20
        assert document.cache_info().currsize == 1
    """
    command = [sys.executable, "-W", "ignore", "-c", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (0, "")
