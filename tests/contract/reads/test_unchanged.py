"""What a client has already is not sent again, and what has changed in any way is."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actor import person
from contract.clock import db_clock
from drs_simulator.testing import RunningSimulator
from executions.api.unchanged_run import tag_of_run
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.console import world
from tests.support.api_client import Api, make_user

pytestmark = pytest.mark.slow


@pytest.fixture
def failed(simulator: RunningSimulator) -> Execution:
    world.region()
    return world.ended(ExecutionStatus.PARTIAL, fail="No capacity")


def seen(api: Api, run: Execution) -> str:
    tag: str = api.get(f"/executions/{run.pk}").headers["ETag"]
    return tag


def status(api: Api, run: Execution, tag: str) -> int:
    response = api.get(f"/executions/{run.pk}", If_None_Match=tag)
    assert (response.content == b"") == (response.status_code == 304)
    return int(response.status_code)


def test_a_run_that_is_as_it_was_is_told_from_one_row(admin: Api, simulator: RunningSimulator) -> None:
    world.region()
    run = world.ended(ExecutionStatus.COMPLETED)
    tag = seen(admin, run)
    with CaptureQueriesContext(connection) as asked:
        assert status(admin, run, tag) == 304
    assert [each for each in asked.captured_queries if "executions_" in each["sql"]] == [
        each for each in asked.captured_queries if '"executions_execution"."revision"' in each["sql"]
    ]
    assert len(asked) <= 5  # of which the user and the time
    assert status(admin, run, f'"other", {tag}') == 304
    assert status(admin, run, '"other"') == 200


def test_a_change_of_the_run_is_told(admin: Api, failed: Execution) -> None:
    tag = seen(admin, failed)
    world.change(failed, error_message="Otherwise")
    assert status(admin, failed, tag) == 200


def test_what_stands_against_a_retry_is_told_although_the_run_is_as_it_was(admin: Api, failed: Execution) -> None:
    tag = seen(admin, failed)
    world.start(world.sharing(failed, wave=1))
    answer = admin.get(f"/executions/{failed.pk}", If_None_Match=tag)
    assert answer.status_code == 200
    assert not answer.json()["actions"]["retry"]["allowed"]


def test_whoever_may_do_more_is_told_so(admin: Api, failed: Execution) -> None:
    viewer = Api(make_user("viewer"))
    tag = seen(viewer, failed)
    assert status(viewer, failed, tag) == 304
    assert status(admin, failed, tag) == 200


def test_a_run_under_way_is_told_anew_each_minute(admin: Api, simulator: RunningSimulator) -> None:
    world.region()
    run = world.paused()
    actor, now = person(admin.user), datetime(2026, 11, 29, 12, 0, 1, tzinfo=UTC)
    tags = [tag_of_run(run.pk, actor, now + timedelta(seconds=each)) for each in (0, 58, 59)]
    assert tags[0] == tags[1] != tags[2]


def test_that_no_engine_runs_any_more_is_told_at_once(admin: Api, simulator: RunningSimulator) -> None:
    """The forecast of a run under way promised its end for up to a minute after the engine had died."""
    world.region()
    run, actor, now = world.paused(), person(admin.user), db_clock()
    world.beat()
    alive = tag_of_run(run.pk, actor, now)
    world.beat(now - timedelta(hours=1))
    assert tag_of_run(run.pk, actor, now) != alive


@pytest.mark.parametrize("path", ["/protection-groups", "/recovery-plans", "/executions"])
def test_a_list_is_tagged_by_its_bytes(admin: Api, failed: Execution, path: str) -> None:
    first = admin.get(path)
    again = admin.get(path, If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    world.ended(ExecutionStatus.COMPLETED)
    other = admin.get(path, If_None_Match=first.headers["ETag"])
    assert other.status_code == 200
    assert other.headers["ETag"] != first.headers["ETag"]


def test_the_version_of_a_group_says_nothing_of_its_servers(admin: Api, failed: Execution) -> None:
    """Its ETag is for If-Match; what is known of its servers changes without it."""
    group = admin.get("/protection-groups").json()["groups"][0]["groupId"]
    tag = admin.get(f"/protection-groups/{group}").headers["ETag"]
    assert admin.get(f"/protection-groups/{group}", If_None_Match=tag).status_code == 200
