"""One run of which AWS sends an answer that cannot be saved: it says so, and no other run waits for it."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection

from audit import sealing
from audit.actor import SYSTEM
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import Job, Participant
from executions.commands import control
from executions.engine import poll, save_answers
from executions.metrics import failed_aws_calls
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.observing import drs_answers
from executions.observing.drs_answers import Answer, JobChanges, Question
from executions.readiness import stored_verdicts
from executions.runs.aws_calls import AwsCalls, Call, CallPool
from tests.executions.engine.test_nudges import polled_runs
from tests.support.stage import NEVER, Stage
from tests.support.wrong_queries import spoiled

pytestmark = pytest.mark.both

INSTANCE = "i-3000000000000000f"


def told_launched(monkeypatch: pytest.MonkeyPatch, stage: Stage, bad_id: str = INSTANCE) -> None:
    """DRS says of every job that its server is up; of the first one, as this instance."""
    now = stage.clock()  # not in the thread that asks, which would open a connection
    first = min(LaunchJob.objects.values_list("job_id", flat=True))

    def job(job_id: str) -> Job:
        server = Participant("s-" + job_id.removeprefix("drsjob-"), "LAUNCHED", bad_id if job_id == first else INSTANCE)
        return Job(job_id, "LAUNCH", "x", "COMPLETED", now, None, (server,), {})

    monkeypatch.setattr(poll, "ask", lambda question: Answer({each: job(each) for each in question.job_ids}))
    monkeypatch.setattr(poll, "read_logs_and_instances", lambda *_: Answer())


def first_job() -> LaunchJob:
    return LaunchJob.objects.select_related("wave__execution").order_by("job_id")[0]


def fail_for(bad: LaunchJob, save: Callable[..., None], error: Exception) -> Callable[..., None]:
    def fail(items: Sequence[JobChanges], now: datetime) -> None:
        save(items, now)
        if bad.pk in [each.job.pk for each in items]:
            raise error

    return fail


def check_only_the_first_waits(stage: Stage) -> Execution:
    bad = first_job()
    run = bad.wave.execution
    others = Execution.objects.exclude(pk=run.pk)
    assert set(others.values_list("status", "failing_since")) == {("COMPLETED", None)}
    assert (run.status, run.claim, run.failures > 0) == ("LAUNCHING", None, True)  # a poll or two
    assert run.failing_since is not None
    assert run.aws_error.startswith("The answer from AWS for this run could not be saved: ")
    assert run.next_step_at is not None
    assert run.next_step_at > stage.clock()
    assert (bad.status, bad.seen_at, ServerRun.objects.get(job=bad).launch_status) == ("STARTED", None, "PENDING")
    return run


def cured(stage: Stage, run: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as it can be written down, the run goes on as if nothing had been."""
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        told_launched(patch, stage)
        run = stage.until(run, "COMPLETED")
    assert (run.failing_since, run.aws_error) == (None, "")


@pytest.mark.parametrize("error", [ValueError("nobody expected this \x00"), IntegrityError("nor this")])
def test_a_run_whose_news_cannot_be_kept_says_so_and_keeps_no_other_from_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    polled_runs(5)
    stage.packs.touched = True
    LaunchJob.objects.update(status="STARTED")
    told_launched(monkeypatch, stage)
    monkeypatch.setattr(save_answers, "save", fail_for(first_job(), save_answers.save, error))
    stage.look()
    cured(stage, check_only_the_first_waits(stage), monkeypatch)


def test_a_run_whose_news_cannot_even_be_compared_is_the_only_one_to_wait(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled_runs(5)
    stage.packs.touched = True
    LaunchJob.objects.update(status="STARTED")
    told_launched(monkeypatch, stage)
    bad = first_job()

    def fail(job: LaunchJob, *told: object) -> JobChanges:
        if job.pk == bad.pk:
            raise TypeError("nobody expected this")
        return drs_answers.compare(job, *told)  # type: ignore[arg-type]

    monkeypatch.setattr(save_answers, "compare", fail)
    stage.look()
    cured(stage, check_only_the_first_waits(stage), monkeypatch)


def test_an_id_that_no_database_takes_stops_one_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite takes any text")
    polled_runs(3)
    stage.packs.touched = True
    LaunchJob.objects.update(status="STARTED")
    told_launched(monkeypatch, stage, "i-3\x00")
    stage.look()
    cured(stage, check_only_the_first_waits(stage), monkeypatch)


def test_a_run_that_waits_so_can_be_cancelled_and_sends_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    stage.until(run, "LAUNCHING", step=15)
    with monkeypatch.context() as patch:
        patch.setattr(
            save_answers, "save", fail_for(LaunchJob.objects.get(wave__number=0), save_answers.save, ValueError("bad"))
        )
        stage.wait(lambda: stage.fresh(run).failures > 0, run, step=15)
        control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
        stage.advance(400)
        stage.look()
        assert stage.fresh(run).status == "CANCELLING"
    stage.until(run, "CANCELLED")
    assert len(stage.launches()) == 1


def test_a_state_of_a_termination_that_nobody_knows_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.until(stage.start(stage.plan("app-01")), "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    told = Drs.jobs

    def jobs(drs: Drs, job_ids: Sequence[str]) -> list[Job]:
        return [replace(job, status="ON_HOLD") if job.type == "TERMINATE" else job for job in told(drs, job_ids)]

    with monkeypatch.context() as patch:
        patch.setattr(Drs, "jobs", jobs)
        other = stage.until(stage.start(stage.plan("web-01")), "COMPLETED")
    assert (TerminationJob.objects.get().status, stage.fresh(run).failing_since) == ("PENDING", None)
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)
    assert other.failing_since is None


def test_an_error_of_aws_that_no_database_takes_is_told_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(question: Question) -> Answer:
        error = DrsError(Trouble.UNCERTAIN, code="X", message="half \x00", region=question.region, operation="Y")
        return Answer(error=error)

    polled_runs(2)
    monkeypatch.setattr(poll, "ask", ask)
    stage.look(1)
    assert set(Execution.objects.values_list("aws_error", "claim")) == {("Y in us-east-1: X: half \\x00", None)}


def test_what_drs_tells_is_written_whoever_holds_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts need no claim; who holds the run goes on with it, and then it is due."""
    polled_runs(1)
    told_launched(monkeypatch, stage)
    claimed = {"claim": uuid.uuid4(), "next_step_at": stage.clock() + timedelta(minutes=1)}
    Execution.objects.update(**claimed)
    stage.look()
    assert ServerRun.objects.get().launch_status == "LAUNCHED"
    assert LaunchJob.objects.get().seen_at is not None
    assert Execution.objects.filter(**claimed, news=1).exists()


@pytest.mark.parametrize(
    ("where", "what"),
    [(sealing, "seal"), (stored_verdicts, "refresh"), (failed_aws_calls, "keep")],
    ids=lambda each: str(each),
)
def test_trouble_with_the_house_stops_no_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, where: object, what: str
) -> None:
    calls: list[str] = []

    def fail(*_: object) -> None:
        calls.append(what)
        raise ValueError("nobody expected this")

    monkeypatch.setattr(where, what, fail)
    stage.sweep.next_inventory_check = None if what == "refresh" else NEVER
    stage.sweep.next_seal_check = None
    run = stage.start(stage.plan("app-01"))
    stage.sweep.once()
    stage.sweep.drain()
    assert (calls, stage.fresh(run).status) == ([what], "POLLING")


@pytest.fixture
def pool() -> Iterator[CallPool]:
    made = CallPool()
    yield made
    made.close()


def failing(error: Exception) -> AwsCalls[None]:
    yield from _no_calls()
    raise error


def _no_calls() -> Iterator[Call]:
    yield from ()


def test_only_trouble_with_the_database_itself_ends_a_sweep(pool: CallPool) -> None:
    pool.start(failing(IntegrityError("of one run")))
    pool.start(failing(ValueError("of one run")))
    with pytest.raises(OperationalError):
        pool.start(failing(OperationalError("the database is gone")))


def of_wave(wave: int) -> Callable[[str, Any], bool]:
    """Picks every write to this wave's row by its key; a wave's number may be the same."""

    def picks(sql: str, params: Any) -> bool:
        by_key = sql.startswith('UPDATE "executions_waverun"') and '"executions_waverun"."id" =' in sql
        return by_key and wave in tuple(params or ())

    return picks


def test_a_query_of_one_run_that_the_database_does_not_take_stops_that_run_alone(stage: Stage) -> None:
    """SQLite and PostgreSQL raise for a statement that is too complex what they raise for a lost connection."""
    bad, good = stage.start(stage.plan("app-01")), stage.start(stage.plan("web-01", "web-02"))
    with spoiled(of_wave(stage.waves(bad)[0].pk)) as spoilt:
        stage.until(good, "COMPLETED")
    assert spoilt
    assert stage.fresh(bad).status not in ("COMPLETED", "FAILED")
    stage.until(bad, "COMPLETED")
    assert len(stage.launches()) == 3


def test_a_query_about_all_runs_that_fails_lets_the_rest_of_a_sweep_go_on(stage: Stage) -> None:
    polled = stage.start(stage.plan("app-01"))
    stage.look()
    stage.advance(60)
    run = stage.start(stage.plan("web-01"))
    with spoiled(lambda sql, _: sql.startswith('UPDATE "executions_place"')) as spoilt:
        stage.sweep.once()
        stage.sweep.drain()
    assert spoilt
    assert stage.fresh(run).status == "POLLING"
    stage.until(polled, "COMPLETED")
