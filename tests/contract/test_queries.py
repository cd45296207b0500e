"""A read costs the same few queries for one row and for many."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bench.seed import seed
from drs_simulator.testing import RunningSimulator
from executions.states import ExecutionStatus
from tests.console import world
from tests.support.api_client import Api, answer

pytestmark = pytest.mark.slow

MOST = 12  # three of them for the user and the rights; three of runs that were not shown before


@pytest.fixture
def queries(admin: Api) -> Callable[[str], int]:
    def count(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            answer(admin.get(path))
        return len(captured)

    return count


def populate(count: int) -> dict[str, Any]:
    """Groups and plans with a run that is over, one that waits, and one that waits for it to be tried again."""
    for _ in range(count - 1):
        world.ended(ExecutionStatus.COMPLETED)
        world.start(world.sharing(world.ended(ExecutionStatus.PARTIAL, fail="No capacity"), wave=1))
        world.paused()
        world.delivery(world.subscription())
    last = world.paused()
    assert last.plan is not None
    group = last.plan.waves.all()[0].groups.get()
    return {"run": last.pk, "plan": last.plan.pk, "group": group.pk}


@pytest.mark.parametrize("part", [10, pytest.param(1, marks=pytest.mark.long)])
def test_lists_do_not_grow_to_full_size(queries: Callable[[str], int], simulator: RunningSimulator, part: int) -> None:
    """1,000 groups of 4 servers, 500 plans and 10,000 runs; daily a tenth of them, more than any page shows."""
    lists = ("/protection-groups", "/recovery-plans", "/executions", "/executions?limit=100&status=PAUSED")
    world.region()
    populate(2)
    few = [queries(path) for path in lists]
    seed(groups=1000 // part, servers=4, plans=500 // part, executions=10_000 // part)
    many = [queries(path) for path in lists]
    assert all(after <= before <= MOST for before, after in zip(few, many, strict=True)), (few, many)


@pytest.mark.parametrize(
    "path",
    [
        "/protection-groups/{group}",
        "/recovery-plans",
        "/recovery-plans/{plan}",
        "/recovery-plans/{plan}/readiness",
        "/executions?limit=100",
        "/executions/{run}",
        "/executions/{run}/job-logs",
        "/notification-subscriptions",
        "/notification-deliveries",
    ],
)
def test_it_does_not_grow(queries: Callable[[str], int], path: str, simulator: RunningSimulator) -> None:
    world.region()
    few = queries(path.format(**populate(2)))
    many = queries(path.format(**populate(6)))
    assert many <= few <= MOST
