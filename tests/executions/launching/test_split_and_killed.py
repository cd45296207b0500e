"""One to all of a job's servers are bad, in every way in which DRS refuses, and the engine dies again and again on the
way: each good server is launched once, each bad one fails with AWS's words, in few calls."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import log2
from typing import Any

import pytest
from django.db.models import Count
from django.test import override_settings

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.engine.sweep import Sweep
from executions.models import Execution, LaunchJob, ServerRun
from executions.runs.aws_calls import AwsCalls, Call, CallPool, LogFields
from tests.executions.launching.test_one_bad_server import bad_ones, hundred, launched, start_all
from tests.support.processes import free_leases
from tests.support.stage import NEVER, Stage

pytestmark = [pytest.mark.slow, pytest.mark.field("A1", "A2", "A13")]


class MortalPool(CallPool):
    """A process that dies at a call to AWS, with some probability: before it is sent, or before its answer is read."""

    def __init__(self, dice: random.Random, probability: float) -> None:
        super().__init__()
        self.dice, self.probability, self.deaths = dice, probability, 0

    def _send_next(self, calls: AwsCalls[None], resume: Callable[[], Call], fields: LogFields) -> None:
        before = set(self.under_way)
        super()._send_next(calls, resume, fields)
        for future in set(self.under_way) - before:
            if self.dice.random() < self.probability:
                self.deaths += 1
                if all(future is not each for asked in self.listings.values() for _, each in asked):  # others wait, too
                    future.cancel()  # it may run all the same: then the answer is lost
                self.under_way.pop(future)[0].close()


@pytest.fixture
def mortal(stage: Stage) -> Callable[[int, float], MortalPool]:
    """Have the stage's engine die, from now on."""

    def make(seed: int, probability: float) -> MortalPool:
        pool = MortalPool(random.Random(seed), probability)
        stage.sweep.close()
        stage.sweep = Sweep(clock=stage.clock)
        stage.sweep.pool.close()
        stage.sweep.pool = stage.sweep.poller.pool = pool
        stage.sweep.next_inventory_check = NEVER
        return pool

    return make


def gone(simulator: RunningSimulator, bad: Sequence[str]) -> None:
    simulator.delete_servers(*bad)


def gone_unseen(simulator: RunningSimulator, bad: Sequence[str], *, code: str, named: bool) -> None:
    """They are deleted between the look and the send."""
    simulator.scenario("throttle", operation="DescribeSourceServers")
    simulator.scenario("refusal_style", code=code, named=named)
    simulator.delete_servers(*bad)


def refused(simulator: RunningSimulator, bad: Sequence[str], *, code: str, named: bool) -> None:
    simulator.scenario("server_refused", servers=list(bad), code=code, named=named)


WAYS: dict[str, Callable[[RunningSimulator, Sequence[str]], None]] = {
    "gone": gone,
    "not found, named": partial(gone_unseen, code="ResourceNotFoundException", named=True),
    "not found, nameless": partial(gone_unseen, code="ResourceNotFoundException", named=False),
    "invalid, named": partial(refused, code="ValidationException", named=True),
    "invalid, nameless": partial(refused, code="ValidationException", named=False),
    "unknown code, named": partial(refused, code="TagPolicyException", named=True),
    "conflict, named": partial(refused, code="ConflictException", named=True),
    "conflict, nameless": partial(refused, code="ConflictException", named=False),
}
OUR_WORDS = ("It is no longer in DRS", "AWS never gave a clear answer")
DAILY = [("conflict, nameless", 1), ("gone", 50)]
REST = [(way, count) for way in WAYS for count in (1, 3, 50, 100) if (way, count) not in DAILY]


def play(stage: Stage, bad: Sequence[str], good: set[str], *, busy: bool) -> None:
    """Until every good one is launched, and every bad one has failed, or waits by itself where it may become free."""
    failed = 0
    for _ in range(900):
        free_leases()
        stage.look()
        failed = ServerRun.objects.filter(launch_status="FAILED").count()
        unsent = LaunchJob.objects.filter(servers__source_server_id__in=good, job_id="").exists()
        together = LaunchJob.objects.annotate(many=Count("servers")).filter(many__gt=1, job_id="").exists()
        if not unsent and (failed == len(bad) or (busy and not together)):
            return
        stage.advance(until_due(stage))
    told = Counter(ServerRun.objects.filter(source_server_id__in=good).values_list("launch_status", "error"))
    raise AssertionError(f"{told} {failed} failed, {launched(stage.simulator).total()} of {len(good)} launched")


def until_due(stage: Stage) -> float:
    """Seconds until a launch is due again: nothing happens before."""
    due = Execution.objects.filter(next_step_at__gt=stage.clock()).values_list("next_step_at", flat=True).first()
    return 16 if due is None else min(max((due - stage.clock()).total_seconds(), 1), 300)


@pytest.mark.parametrize(
    ("way", "count"),
    [*DAILY, *(pytest.param(way, count, marks=pytest.mark.long) for way, count in REST)],
)
def test_each_good_one_is_launched_once_however_often_the_engine_dies(
    stage: Stage, mortal: Callable[[int, float], MortalPool], way: str, count: int
) -> None:
    ids = hundred(stage)
    bad = list(ids) if count == 100 else bad_ones(ids, count)
    good = set(ids) - set(bad)
    stage.simulator.settings(max_jobs=200)
    run = start_all(ids)
    WAYS[way](stage.simulator, bad)
    pool = mortal(count, 0.05 if count >= 50 else 0.15)  # at each of its calls
    with override_settings(LAUNCH_QUARANTINE_SECONDS=45):
        play(stage, bad, good, busy="conflict" in way)
    assert launched(stage.simulator) == dict.fromkeys(good, 1)
    assert pool.deaths > 0 or "nameless" not in way
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()
    assert calls_for_the_first_time(stage, bad) <= 2 * count * log2(100) + 2
    failed = ServerRun.objects.filter(wave__execution=run, launch_status="FAILED")
    assert set(failed.values_list("source_server_id", flat=True)) <= set(bad)
    assert all(": " in each.error or each.error.startswith(OUR_WORDS) for each in failed)
    assert Execution.objects.get(pk=run.pk).status != "COMPLETED"


def calls_for_the_first_time(stage: Stage, bad: Sequence[str]) -> int:
    """Sends of different sets of servers: one that waits, or whose answer was lost, is sent again as the same set."""
    sent: list[Any] = [call["params"] for call in stage.simulator.journal("StartRecovery")]
    return len({frozenset(each["sourceServerID"] for each in params["sourceServers"]) for params in sent})
