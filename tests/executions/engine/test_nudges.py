"""Tasks only wake the engine up: lost, repeated or in a crowd, they change nothing; and a sweep costs little."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django_q.models import Failure, OrmQ, Schedule
from django_q.tasks import async_task

from contract.clock import db_clock, unix
from drs.shapes import Job, JobLogItem
from executions import queue, tasks
from executions.engine import poll, save_answers
from executions.engine.poll import FORECASTS_PER_POLL
from executions.engine.sweep import Sweep
from executions.models import Execution, LaunchJob, Pacemaker, Place, ServerRun, WaveRun
from executions.observing.drs_answers import Answer, JobChanges, Question
from tests.support.stage import Stage

pytestmark = pytest.mark.both

ALWAYS = {tasks.NATIVE, tasks.READINESS}
LATER = datetime(2027, 6, 1, tzinfo=UTC)  # nobody looks at a run for its time


def test_a_lost_nudge_costs_nothing_but_a_sweep(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("the broker is down")

    monkeypatch.setattr(queue, "async_task", broken)
    run = stage.start(stage.plan("app-01"))
    assert OrmQ.objects.count() == 0
    stage.look(1)
    assert stage.fresh(run).status == "POLLING"


def test_a_task_delivered_five_times_launches_once(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    for _ in range(5):
        tasks.step(str(run.pk))
    assert len(stage.simulator.journal("StartRecovery")) == 1
    tasks.step(str(uuid.uuid4()))  # of a run that was deleted meanwhile


@pytest.mark.django_db(transaction=True)
def test_names_that_earlier_releases_stored_do_no_harm() -> None:
    """Their beat was a task, and a schedule revived it."""
    Schedule.objects.create(name="revive the beat", func="executions.tasks.revive", schedule_type=Schedule.MINUTES)
    for name in ("beat", "revive"):
        async_task(f"executions.tasks.{name}", q_options={"sync": True})
    assert not Failure.objects.exists()
    assert not Pacemaker.objects.exclude(beat_at=None).exists()
    tasks.ensure_schedule()
    tasks.ensure_schedule()
    assert set(Schedule.objects.values_list("name", flat=True)) == ALWAYS | {"clear expired sessions"}


@pytest.mark.django_db(transaction=True)
def test_engines_that_started_at_the_same_moment_keep_no_engine_from_starting() -> None:
    """Each has made the row of the schedule, whose name is not unique: no engine started any more."""
    names = ["clear expired sessions", tasks.ARCHIVE]
    for name in (*names, *names):
        Schedule.objects.create(name=name, func="x", schedule_type=Schedule.ONCE)
    with override_settings(RETENTION_DAYS=30):
        tasks.ensure_schedule()
    kept = Schedule.objects.exclude(name__in=ALWAYS).order_by("pk").values_list("name", "args", "schedule_type")
    assert list(kept) == [(names[0], "'clearsessions'", "H"), (names[1], "'archive_runs'", "H")]
    tasks.ensure_schedule()
    assert Schedule.objects.exclude(name__in=ALWAYS).get().name == names[0]


def polled_runs(count: int, forecast: dict[str, object] | None = None) -> None:
    """Runs in the middle of a wave whose jobs DRS does not show: nothing is ever new."""
    now = db_clock()
    for number in range(count):
        run = Execution.objects.create(
            plan_name=f"p{number}", kind="DRILL", status="POLLING", total_waves=1, initiated_by="x", started_by="x",
            next_step_at=now - timedelta(seconds=1), forecast=forecast,
        )  # fmt: skip
        wave = WaveRun.objects.create(execution=run, number=0, name="w", status="POLLING", started_at=now)
        job = LaunchJob.objects.create(
            wave=wave, position=0, account_id="111122223333", region="us-east-1", status="PENDING", attempt=1,
            intent_at=now, job_id=f"drsjob-3{number:016x}", watched=True,
        )  # fmt: skip
        ServerRun.objects.create(wave=wave, job=job, position=0, source_server_id=f"s-3{number:016x}", hostname="h")


def cost_of(stage: Stage, *, polls: bool = True) -> int:
    """Queries of a sweep that has just looked after inventory and journal, as in nine of ten seconds; at a slot of the
    grid, on which places are asked, or between two."""
    Execution.objects.update(next_step_at=LATER)
    LaunchJob.objects.update(watched=False)
    Place.objects.get_or_create(account_id="111122223333", region="us-east-1")
    stage.look()
    LaunchJob.objects.update(watched=True)
    if polls:
        stage.sweep.poller.next_slot = None
    with CaptureQueriesContext(connection) as queries:
        stage.sweep.once()
        stage.sweep.drain()
    return len([each for each in queries if "SAVEPOINT" not in each["sql"]])


def test_an_idle_sweep_costs_three_queries(stage: Stage) -> None:
    assert cost_of(stage, polls=False) <= (4 if connection.vendor == "postgresql" else 3)


def test_a_sweep_of_unchanged_runs_costs_the_same_for_any_number(stage: Stage) -> None:
    polled_runs(5)
    few = cost_of(stage)
    Execution.objects.all().delete()
    polled_runs(200)
    many = cost_of(stage)
    assert few == many
    assert many <= 21
    assert set(Execution.objects.values_list("claim", "next_step_at", "revision")) == {(None, LATER, 1)}
    assert Place.objects.get().next_poll_at is None
    assert len(stage.simulator.journal("DescribeJobs")) <= 4


def grown_logs(stage: Stage, monkeypatch: pytest.MonkeyPatch, runs: int) -> None:
    """Runs whose servers take a snapshot, which only their logs tell, in a word that no database can keep as it is."""

    now = stage.clock()  # not in the thread that asks, which would open a connection

    def tell(question: Question) -> Answer:
        servers = {job: "s-" + job.removeprefix("drsjob-") for job in question.logs}
        found = [Job(each, "LAUNCH", "x", "STARTED", now, None, (), {}) for each in question.job_ids]
        logs = {
            job: [JobLogItem(now, "SNAPSHOT_START", {"sourceServerID": server, "rawError": "half \x00"})]
            for job, server in servers.items()
        }
        return Answer({job.job_id: job for job in found}, logs)

    monkeypatch.setattr(poll, "ask", lambda question: replace(tell(question), logs={}))
    monkeypatch.setattr(poll, "read_logs_and_instances", lambda question, _: tell(question))
    Execution.objects.all().delete()
    polled_runs(runs)
    LaunchJob.objects.update(status="STARTED")


def test_logs_that_have_grown_cost_the_same_for_any_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty logs are as many as are read at a time. A snapshot that goes on needs no decision."""
    grown_logs(stage, monkeypatch, runs=5)
    few = cost_of(stage)
    grown_logs(stage, monkeypatch, runs=20)
    assert cost_of(stage) == few <= 40
    assert set(ServerRun.objects.values_list("phase", flat=True)) == {"SNAPSHOT"}
    assert set(Execution.objects.values_list("claim", "revision")) == {(None, 2)}
    assert set(WaveRun.objects.values_list("revision", flat=True)) == {2}


def test_a_log_that_cannot_be_kept_keeps_no_other_from_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    grown_logs(stage, monkeypatch, runs=5)
    bad, save = LaunchJob.objects.all()[0], save_answers.save

    def fail(items: Sequence[JobChanges], now: datetime) -> None:
        if bad in [each.job for each in items]:
            raise ValueError("nobody expected this")
        save(items, now)

    monkeypatch.setattr(save_answers, "save", fail)
    cost_of(stage)
    assert ServerRun.objects.filter(phase="SNAPSHOT").exclude(job=bad).count() == 4
    assert (ServerRun.objects.get(job=bad).phase, Execution.objects.get(waves__jobs=bad).claim) == ("QUEUED", None)


def test_stale_forecasts_are_made_anew_a_few_at_a_time(stage: Stage) -> None:
    old = unix(db_clock()) - 300
    stale = {"at": old, "revision": 1, "launches": 9, "runs": 3, "remaining": 9, "earliest": 8, "latest": 10,
             "gates": 0, "critical": []}  # fmt: skip
    stage.look()  # what else is due now and then
    polled_runs(20, stale)
    few = cost_of(stage)
    Execution.objects.all().delete()
    stage.look()
    polled_runs(60, stale)
    many = cost_of(stage)
    made_anew = [each["at"] > old for each in Execution.objects.values_list("forecast", flat=True) if each]
    assert sum(made_anew) == FORECASTS_PER_POLL
    assert min(many, cost_of(stage), cost_of(stage)) <= few  # a chore of the minute may fall into one of them


def test_a_crowd_of_due_runs_drains_without_flooding_the_queue(stage: Stage) -> None:
    """Four hundred runs due at once: stepped here, and offered to idle workers a few at a time."""
    nudged: list[uuid.UUID] = []
    now = db_clock()
    Execution.objects.bulk_create(
        Execution(
            plan_name=f"p{number}", kind="DRILL", status="RUNNING", total_waves=0, initiated_by="x", started_by="x",
            next_step_at=now - timedelta(seconds=1),
        )
        for number in range(400)
    )  # fmt: skip
    sweep = Sweep(nudge=nudged.append, queued=lambda: 0)
    sweeps = 0
    while Execution.objects.active().exists():
        before, sweeps = len(nudged), sweeps + 1
        sweep.once()
        sweep.drain()
        assert len(nudged) - before <= 8
        time.sleep(0.05)
        assert sweeps < 120  # each steps for two seconds, in which a busy machine does little
    sweep.close()
