"""Many groups, plans, servers and watchers: what a page asks of the database does not grow, and polls stay cheap."""

import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bench.seed import history, seed
from drsorch_site import page_context
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs.transitions import touch
from executions.states import ExecutionStatus, LaunchStatus, Phase, WaveStatus
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.console import world
from tests.yardstick import is_quick

pytestmark = pytest.mark.slow

HX = {"HX-Request": "true"}
LISTS = ("dashboard", "groups", "plans", "executions", "servers", "settings", "new-plan", "journal")


def questions(client: Client, address: str) -> int:
    return min(_asked(client, address) for _ in range(3))  # some things are known for a while once they were asked


def _asked(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        response = client.get(address)
        b"".join(response) if response.streaming else response.content
    assert response.status_code == 200, address
    return len(asked)


def addresses() -> list[str]:
    plan, group = RecoveryPlan.objects.get(name="Plan A"), ProtectionGroup.objects.get(name="Plan A group 0")
    run = Execution.objects.filter(plan=plan)[0]
    details: list[tuple[str, object]] = [
        ("group", group.pk),
        ("edit-group", group.pk),
        ("delete-group", group.pk),
        ("plan", plan.pk),
        ("edit-plan", plan.pk),
        ("delete-plan", plan.pk),
        ("start-drill", plan.pk),
        ("start-recovery", plan.pk),
        ("execution", run.pk),
        ("cancel-execution", run.pk),
        ("terminate-execution", run.pk),
        ("job-logs", run.pk),
    ]
    region = f"{reverse('new-group')}?region=us-east-1"
    return [region, *(reverse(name) for name in LISTS), *(reverse(name, args=[key]) for name, key in details)]


def work_of(client: Client, address: str) -> int:
    """What SQLite does for a page, in hundreds of the steps of its virtual machine; when it is read again, because some
    figures are counted only when something has changed."""
    assert client.get(address).status_code == 200, address
    ticks: list[None] = []
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: ticks.append(None), 100)
    try:
        assert client.get(address).status_code == 200, address
    finally:
        connection.connection.set_progress_handler(None, 0)
    return len(ticks)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite counts its steps")
def test_no_page_takes_longer_when_the_history_grows(chief: Client) -> None:
    """Ten times as many runs, and still one screen of them: whoever reads them all is found out."""
    seed(groups=10, servers=2, plans=5, executions=150)
    plans = list(RecoveryPlan.objects.values_list("pk", flat=True))
    api = ["", "&status=FAILED", f"&planId={plans[0]}", "&executionType=DRILL"]
    lists = [f"/api/v1/executions?limit=50{each}" for each in api]
    pages = [
        "/",
        "/?mark=x",
        "/executions",
        f"/executions?plan={plans[0]}",
        "/recovery-plans",
        "/api/v1/recovery-plans",
    ]
    few = {address: work_of(chief, address) for address in pages + lists}
    Execution.objects.all().delete()
    history(1500, plans)
    grown = {address: (steps, work_of(chief, address)) for address, steps in few.items()}
    assert {address: each for address, each in grown.items() if each[1] > 1.5 * each[0] + 20} == {}


@pytest.mark.parametrize("share", [0.2, pytest.param(1, marks=pytest.mark.long)])
def test_no_page_asks_more_when_there_is_more(chief: Client, share: float) -> None:
    """A thousand groups, five hundred plans, and runs in several states among very many; daily a fifth of that."""
    world.region()
    world.ended(ExecutionStatus.PARTIAL, "Plan A", fail="no capacity")
    world.ended(ExecutionStatus.COMPLETED, "Plan C")
    world.paused("Plan B")
    few = {address: questions(chief, address) for address in addresses()}
    for number in range(4):
        world.ended(ExecutionStatus.COMPLETED, f"More {number}", sizes=(1,))
        world.paused(f"Paused {number}")
        world.server()
    seed(groups=int(1000 * share), servers=1, plans=int(500 * share), executions=int(1000 * share))
    many = {address: questions(chief, address) for address in addresses()}
    grown = {address: (few[address], many[address]) for address in few if many[address] > few[address]}
    assert not grown
    assert max(many.values()) <= 36


def big_run(waves: int = 10, servers: int = 100) -> Execution:
    """A run of ten waves of a hundred servers, its fifth wave under way."""
    run = world.start(world.plan("Big", sizes=(1,)))
    run.waves.all().delete()
    for number in range(waves):
        state = WaveStatus.COMPLETED if number < 4 else WaveStatus.LAUNCHING if number == 4 else WaveStatus.PENDING
        begun, ended = (timezone.now() if number < 5 else None), (timezone.now() if number < 4 else None)
        name = f"Tier {number + 1} of the application"
        wave = WaveRun.objects.create(
            execution=run, number=number, name=name, status=state, started_at=begun, ended_at=ended
        )
        known = {"status": "STARTED", "job_id": f"drsjob-{number:017x}"}
        job = LaunchJob.objects.create(wave=wave, position=0, account_id="1" * 12, region="us-east-1", **known)
        ServerRun.objects.bulk_create(
            ServerRun(
                wave=wave,
                job=job,
                position=at,
                source_server_id=f"s-{number:08x}{at:09x}",
                hostname=f"payments-host-{number:02}-{at:03}",
                launch_status=LaunchStatus.IN_PROGRESS if begun else LaunchStatus.PENDING,
                phase=Phase.CONVERSION if begun else Phase.QUEUED,
                recovery_instance_id=f"i-{number:08x}{at:09x}",
            )
            for at in range(servers)
        )
    return world.change(run, status=ExecutionStatus.LAUNCHING, total_waves=waves)


def cpu(act: Callable[[], Any], times: int) -> float:
    """The median of this thread's own time: other processes of the machine do not count."""
    taken = []
    for _ in range(times):
        began = time.thread_time()
        act()
        taken.append(time.thread_time() - began)
    return statistics.median(taken)


def test_a_run_of_a_thousand_servers_stays_quick_and_small(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_context, "BEAT_IS_KNOWN_SECONDS", 60.0)  # however slow this machine is just now
    run = big_run()
    page, live = reverse("execution", args=[run.pk]), reverse("execution-live", args=[run.pk])
    assert questions(chief, page) <= 17
    assert is_quick(cpu(lambda: chief.get(page), 3), 1, time.thread_time)
    seen: dict[str, Any] = {"rev": str(run.revision), "engine": "1"}
    assert chief.get(live, seen, headers=HX).status_code == 204
    assert is_quick(cpu(lambda: chief.get(live, seen, headers=HX), 25), 0.010, time.thread_time)
    world.launch_log(run.waves.get(number=4), lines=40)
    touch(run, timezone.now(), [run.waves.get(number=4)])
    changed = chief.get(live, seen, headers=HX)
    assert changed.status_code == 200
    assert len(changed.content) < 25_000  # events and timeline are new, too
    rows = chief.get(reverse("wave-rows", args=[run.pk, 4]), headers=HX).content.decode()
    seen["rows"] = re.findall(r'name="rows" value="([^"]+)"', rows)
    ServerRun.objects.filter(hostname="payments-host-04-007").update(phase=Phase.LAUNCH)
    touch(run, timezone.now(), [run.waves.get(number=4)])
    assert chief.get(live, seen, headers=HX).status_code == 200
    with CaptureQueriesContext(connection) as asked:  # the second one who sees the change
        again = chief.get(live, seen, headers=HX)
    assert re.findall(rb'scope="row"><a[^>]+>(payments-host-04-\d+)<', again.content) == [b"payments-host-04-007"]
    assert len(asked) <= 5, (
        "session, person, rights, and whether anything is new: neither waves nor servers are read again"
    )


@pytest.mark.parametrize("count", [250])
def test_the_picker_shows_a_part_of_many_and_says_so(chief: Client, count: int) -> None:
    world.region()
    for _ in range(count):
        world.server()
    html = chief.get(reverse("new-group"), {"region": "us-east-1"}).content.decode()
    assert html.count('name="server"') == 200
    assert "50 more match" in html
