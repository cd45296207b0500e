"""Reports of large runs: an engine makes them, they are kept, and told only while they are true."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from audit.actor import SYSTEM
from bench.compare import live_run
from drsorch_verify import archive
from executions.models import Execution, Pacemaker, ServerRun
from executions.runs.journal import note
from executions.runs.transitions import touch
from executions.states import ExecutionStatus, LaunchStatus, Phase, WaveStatus
from reports.made import tasks
from reports.made.keeping import ASK_AGAIN, AT_ONCE
from reports.models import MadeReport
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal
from tests.yardstick import is_quick

pytestmark = pytest.mark.slow


def ended_run(servers: int) -> Execution:
    """A run of ten waves, all of whose servers are up."""
    run, now = live_run(servers=servers // 10), timezone.now()
    up = {"launch_status": LaunchStatus.LAUNCHED, "phase": Phase.DONE, "launched_at": now}
    ServerRun.objects.filter(wave__execution=run).update(**up, recovery_instance_id="i-0123456789abcdef0")
    run.waves.update(status=WaveStatus.COMPLETED, ended_at=now)
    Execution.objects.filter(pk=run.pk).update(status=ExecutionStatus.COMPLETED, ended_at=now, next_step_at=None)
    note(run, "execution.start", actor=SYSTEM)
    return Execution.objects.get(pk=run.pk)


def asked() -> list[Any]:
    """What waits in the engines' queue: what a worker of theirs would run, as it would."""
    found = [each.task for each in OrmQ.objects.order_by("pk")]
    OrmQ.objects.all().delete()
    return [(each["func"], each["args"]) for each in found]


def work() -> int:
    done = asked()
    for func, args in done:
        assert func == "reports.made.tasks.make"
        tasks.make(*args)
    return len(done)


@pytest.fixture
def chief(db: None) -> Client:
    world.beat()
    client = Client()
    client.force_login(make_user("admin"))
    return client


def page(client: Client, run: Execution, **options: Any) -> Any:
    return client.get(reverse("report", args=[run.pk]), **options)


@pytest.mark.both
def test_a_large_report_is_made_by_an_engine_and_shown_when_it_is_there(chief: Client) -> None:
    run = ended_run(AT_ONCE + 20)
    waiting = page(chief, run)
    assert "The report of 520 servers is being made." in waiting.content.decode()
    assert 'hx-trigger="every 3s' in waiting.content.decode()
    assert "is being made" in page(chief, run, headers={"HX-Request": "true"}).content.decode()
    assert page(chief, run, data={"format": "pdf"})["Location"] == reverse("report", args=[run.pk])
    beside = chief.get(reverse("compare-runs"), {"a": str(run.pk), "b": str(run.pk)})
    assert (beside.status_code, "is being made" in beside.content.decode()) == (503, True)
    assert work() == 1, "whoever asks meanwhile asks for nothing twice"
    waited = page(chief, run, headers={"HX-Request": "true"})
    assert (waited.headers.get("HX-Refresh"), waited.content.count(b">app-9-")) == (None, 52)
    assert '<div id="report-actions" class="actions" hx-swap-oob="true">' in waited.content.decode()
    shown = page(chief, run).content.decode()
    assert shown.count(">app-9-") == 52
    assert "Evidence pack" in shown
    assert page(chief, run, data={"format": "pdf"}).content.startswith(b"%PDF-")
    assert page(chief, run, data={"format": "csv"}).content.count(b"app-") == 520
    assert json.loads(page(chief, run, data={"format": "json"}).content)["measured"]["launchedServers"] == 520
    beside = chief.get(reverse("compare-runs"), {"a": str(run.pk), "b": str(run.pk)})
    assert "520 in both, with the same outcome" in beside.content.decode()
    assert asked() == []


def test_a_report_is_never_shown_once_something_in_it_is_another(chief: Client) -> None:
    run = ended_run(AT_ONCE + 20)
    page(chief, run)
    work()
    assert "app-0-1<" in page(chief, run).content.decode()
    for change in (
        lambda: touch(run, timezone.now()),
        lambda: note(run, "execution.evidence", actor=SYSTEM),
        lambda: run.waves.all()[0].jobs.update(watched=True),
        lambda: Execution.objects.filter(pk=run.pk).update(proof_due=True),
    ):
        change()
        world.beat()  # reports of all changes take longer than an engine may be silent, on a busy machine
        assert "is being made" in page(chief, run).content.decode()
        assert work() == 1
        assert "app-0-1<" in page(chief, run).content.decode()


def test_it_says_that_no_engine_runs_or_that_it_cannot_be_made(chief: Client) -> None:
    run = ended_run(AT_ONCE + 20)
    Pacemaker.objects.update(beat_at=timezone.now() - timedelta(minutes=5))
    silent = page(chief, run).content.decode()
    assert "no engine is running" in silent
    assert 'hx-trigger="every 3s' not in silent
    world.beat()
    assert "is being made" in page(chief, run).content.decode()
    told = ""
    for _ in range(3):  # the tasks are lost
        MadeReport.objects.update(asked_at=timezone.now() - ASK_AGAIN * 2)
        told = page(chief, run).content.decode()
    assert "The engines were asked 3 times and have not made it." in told
    assert 'hx-trigger="every 3s' not in told
    assert work() == 4
    assert "app-0-1<" in page(chief, run).content.decode()


def test_what_goes_wrong_is_told_to_who_waits(chief: Client) -> None:
    run = ended_run(AT_ONCE + 20)
    page(chief, run)
    job = run.waves.all()[0].jobs.get()
    ServerRun.objects.filter(job=job).update(job=run.waves.all()[1].jobs.get())
    ((_, (key,)),) = asked()
    with pytest.raises(KeyError):
        tasks.make(key)
    told = page(chief, run).content.decode()
    assert "The report could not be made. KeyError" in told
    assert 'hx-trigger="every 3s' not in told
    ServerRun.objects.filter(wave=run.waves.all()[0]).update(job=job)
    MadeReport.objects.update(asked_at=timezone.now() - ASK_AGAIN * 2)
    assert "is being made" in page(chief, run).content.decode(), "a minute later it is tried again"
    work()
    assert "app-0-1<" in page(chief, run).content.decode()


def test_the_api_says_that_it_is_being_made(admin: Api) -> None:
    world.beat()
    run = ended_run(AT_ONCE + 20)
    path = f"/executions/{run.pk}/report"
    for address in (path, f"{path}?format=pdf"):
        refusal(admin.get(address), 503, "REPORT_BEING_MADE")
    waiting = admin.post(f"/executions/{run.pk}/evidence", {})
    assert refusal(waiting, 503, "REPORT_BEING_MADE") is not None
    assert waiting["Retry-After"] == "5"
    work()
    assert len(answer(admin.get(path))["waves"]) == 10


def test_a_pack_of_a_large_run_holds_what_was_made_and_verifies(admin: Api, tmp_path: Any) -> None:
    world.beat()
    run = ended_run(AT_ONCE + 20)
    path = f"/executions/{run.pk}/evidence"
    refusal(admin.post(path, {}), 503, "REPORT_BEING_MADE")
    work()
    made = admin.post(path, {})
    assert made.status_code == 200
    file = tmp_path / "pack.zip"
    file.write_bytes(made.content)
    files = archive.read(made.content)
    assert json.loads(files["report.json"])["measured"]["launchedServers"] == 520
    assert files["report.pdf"].startswith(b"%PDF-")
    assert json.loads(files["journal.json"])["links"]
    refusal(admin.post(path, {}), 503, "REPORT_BEING_MADE")  # the first pack is in the journal, which the report shows
    work()
    assert admin.post(path, {}).status_code == 200


@pytest.mark.slow
@pytest.mark.long
def test_the_report_of_four_thousand_servers_takes_a_web_process_a_second(chief: Client) -> None:
    run = ended_run(4_000)
    page(chief, run)
    work()
    asks: dict[str, Callable[[], Any]] = {
        "page": lambda: page(chief, run),
        "json": lambda: page(chief, run, data={"format": "json"}),
        "pdf": lambda: page(chief, run, data={"format": "pdf"}),
        "pack": lambda: chief.post(reverse("evidence", args=[run.pk])),
    }
    for name, ask in asks.items():
        began = time.thread_time()
        assert ask().status_code == 200
        spent = time.thread_time() - began
        assert is_quick(spent, 1, time.thread_time), f"{name}: {spent:.2f} s"
