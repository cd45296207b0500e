"""Who may work on a run: one holder at a time, whose writes count only while the claim stands."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TypeVar

import pytest
from django.db import connections, transaction

from audit.models import AuditEntry
from contract.clock import db_clock
from drs.client import Drs
from executions.engine import advance
from executions.launching import adopt, launch
from executions.models import Execution, LaunchJob, WaveRun
from executions.runs.aws_calls import AwsCalls, CallPool, run_inline
from executions.runs.claim import LEASE, ClaimLost, claim, load, wake
from tests.support.stage import Stage, at_the_send

pytestmark = pytest.mark.both

T = TypeVar("T")


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """The answers of `work` from so many threads that begin together, each with a connection of its own."""
    barrier = Barrier(count)

    def run(number: int) -> T:
        try:
            barrier.wait()
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def due_run(status: str = "RUNNING") -> Execution:
    return Execution.objects.create(
        plan_name="x", kind="DRILL", total_waves=1, initiated_by="x", started_by="x", status=status,
        next_step_at=db_clock() - timedelta(seconds=1),
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_it_gives_a_run_to_one_of_many() -> None:
    run = due_run()
    tokens = [each for each in at_once(8, lambda _: claim(run.pk, db_clock())) if each]
    assert len(tokens) == 1
    assert Execution.objects.get().claim == tokens[0]


@pytest.mark.django_db(transaction=True)
def test_it_gives_no_run_to_two_of_eight_that_grab_all_they_can() -> None:
    runs = [due_run().pk for _ in range(200)]

    def grab(number: int) -> list[uuid.UUID]:
        ours = runs[number * 25 :] + runs[: number * 25]
        return [pk for pk in ours if claim(pk, db_clock())]

    taken = [pk for each in at_once(8, grab) for pk in each]
    assert sorted(taken) == sorted(runs)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", ["POLLING", "LAUNCHING", "CANCELLING", "PAUSED"])
def test_it_gives_a_run_that_is_due_whatever_its_status(status: str) -> None:
    """Statuses are for reading. What DRS tells needs no claim, and makes runs due."""
    run = due_run(status)
    assert claim(run.pk, db_clock()) is not None
    assert claim(run.pk, db_clock()) is None


@pytest.mark.django_db(transaction=True)
def test_news_while_somebody_holds_a_run_makes_it_due_when_it_is_let_go() -> None:
    run, now = due_run(), db_clock()
    token = claim(run.pk, now)
    assert token is not None
    held = load(run.pk, token)
    wake([run.pk], now)
    assert claim(run.pk, now) is None, "it is not taken from whoever works on it"
    held.release(now + timedelta(minutes=5))
    assert claim(run.pk, now) is not None
    again = load(run.pk, Execution.objects.get().claim or token)
    again.release(now + timedelta(minutes=5))
    assert claim(run.pk, now) is None
    wake([run.pk], now)
    assert claim(run.pk, now) is not None


def test_it_lets_a_lost_claim_write_nothing(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    old = claim(run.pk, stage.clock())
    assert old is not None
    held = load(run.pk, old)
    stage.offset += LEASE + timedelta(seconds=1)
    new = claim(run.pk, stage.clock())
    assert new is not None
    assert new != old
    before = Execution.objects.values().get()
    with pytest.raises(ClaimLost):
        load(run.pk, old)
    with pytest.raises(ClaimLost):
        held.write(stage.clock(), status="RUNNING")
    held.release(stage.clock(), status="RUNNING")
    for decide_and_act in (advance.step_calls(run.pk, stage.clock), advance.advance(run.pk, old, stage.clock)):
        assert list(decide_and_act) == []
    assert Execution.objects.values().get() == before
    assert AuditEntry.objects.filter(actor="engine").count() == 0
    assert WaveRun.objects.get().status == "PENDING"


def test_it_never_throws_a_job_id_away(stage: Stage) -> None:
    """The claim is stolen between request and answer; the answer is recorded all the same, once."""
    run = stage.start(stage.plan("app-01"))
    token = claim(run.pk, stage.clock())
    assert token is not None
    held = load(run.pk, token)
    job = LaunchJob.objects.get()
    calls = launch.launch(held, held.waves[0], job.pk, stage.clock)
    answer = at_the_send(calls)()
    Execution.objects.update(claim=uuid.uuid4())
    with pytest.raises(StopIteration):
        calls.send(answer)
    job.refresh_from_db()
    assert job.job_id == answer.job_id
    assert WaveRun.objects.get().deadline_at is not None


def test_it_shouts_when_a_launch_has_two_jobs(stage: Stage) -> None:
    """Cannot happen; if it does, the older one stays and the journal says so."""
    run = stage.start(stage.plan("app-01"))
    stage.look()
    job = LaunchJob.objects.get()
    token = uuid.uuid4()
    Execution.objects.update(claim=token)
    held = load(run.pk, token)
    (known,) = Drs("us-east-1").jobs([job.job_id])
    adopt.adopt(held, held.waves[0], job, known, stage.clock())
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()
    other = type(known)(**{**known.__dict__, "job_id": "drsjob-30000000000000000"})
    adopt.adopt(held, held.waves[0], job, other, stage.clock())
    assert LaunchJob.objects.get().job_id == known.job_id
    entry = AuditEntry.objects.get(verb="launch.doubled")
    assert entry.outcome == "DOUBLE_LAUNCH"
    assert entry.detail["jobIds"] == sorted([known.job_id, other.job_id])


@pytest.mark.django_db(transaction=True)
def test_it_refuses_to_call_aws_inside_a_transaction() -> None:
    def asking() -> AwsCalls[None]:
        yield lambda: None

    pool = CallPool()
    with transaction.atomic():
        with pytest.raises(RuntimeError, match="transaction"):
            run_inline(asking())
        pool.start(asking())
    assert not pool.under_way
    pool.close()
