"""AWS's clock is not ours: no launch is told to have been quicker than we have seen it to be."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from executions.measuring.rta_rpa import measure, rows_of
from executions.measuring.time_parts import Part
from executions.models import Execution, LaunchJob, ServerRun
from tests.support.api_client import Api, answer, make_user
from tests.support.stage import Stage
from tests.support.still import StillStage


def picture(still: StillStage, **scenario: Any) -> tuple[Execution, ServerRun, dict[Part, int]]:
    """A run of one server, by such a clock, to the end of all news of it."""
    still.simulator.scenario("launch_end_event")
    if scenario["seconds"]:
        still.simulator.scenario("clock_skew", **scenario)
    run = still.until(still.start(still.plan("app-01")), "COMPLETED", step=15)
    still.wait(lambda: not LaunchJob.objects.get().watched, run, step=15)
    run = Execution.objects.with_waves().get(pk=run.pk)
    return run, ServerRun.objects.get(), dict(measure(run, rows_of(run)).waves[0].split)


@pytest.mark.parametrize("seconds", [-900, -100, 0, 900])
@pytest.mark.field("A20")
def test_no_launch_is_quicker_than_it_was_seen_to_be(still: StillStage, admin: Api, seconds: int) -> None:
    run, server, split = picture(still, seconds=seconds)
    job = LaunchJob.objects.get()
    assert server.launched_at is not None
    assert job.completed_seen_at is not None
    assert (server.observed_late is not None) == (server.launched_at == job.completed_seen_at) == bool(seconds)
    assert abs(job.aws_ahead_seconds - seconds) <= 2
    # Where the time went: by AWS's own times, moved to our clock.
    assert split[Part.CONVERSION] > 60
    assert split[Part.SNAPSHOT] > 10
    report = answer(admin.get(f"/executions/{run.pk}/report"))
    (told,) = report["waves"][0]["jobs"]
    assert told["awsAheadSeconds"] == job.aws_ahead_seconds


def test_where_nobody_can_tell_how_the_clocks_differ_the_polls_bound_a_launch(still: StillStage) -> None:
    still.simulator.scenario("launch_end_event")
    still.simulator.scenario("missing_members", servers=["app-01"], members=["creationDateTime"])
    still.simulator.scenario("clock_skew", seconds=-100)
    run = still.start(still.plan("app-01"))
    for _ in range(100):
        still.advance(15)
        Stage.look(still)
        if not LaunchJob.objects.filter(watched=True).exists() and still.fresh(run).state.is_final:
            break
    server, job = ServerRun.objects.get(), LaunchJob.objects.get()
    assert job.aws_ahead_seconds == 0
    assert server.launched_at is not None
    assert job.completed_seen_at is not None
    assert server.launched_at >= job.completed_seen_at - timedelta(seconds=15)


@pytest.mark.parametrize("seconds", [-900, 900])
def test_the_age_of_the_data_is_by_one_clock(still: StillStage, seconds: int) -> None:
    run, server, _ = picture(still, seconds=seconds)
    (figures,) = measure(run, rows_of(run)).servers
    assert server.point_in_time is not None
    true = server.point_in_time - timedelta(seconds=seconds)
    assert figures.rpo is not None
    assert abs(figures.rpo - max(0, (run.started_at - true).total_seconds()) - figures.lag) <= 2


def test_a_report_says_that_the_clocks_differ(still: StillStage, client: Client) -> None:
    run, _, _ = picture(still, seconds=-900)
    client.force_login(make_user("viewer"))
    page = client.get(f"/executions/{run.pk}/report").content.decode()
    assert "behind the clock of this installation, at least" in page


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_launch_whose_answer_was_lost_is_found_by_any_clock(still: StillStage, seconds: int) -> None:
    still.simulator.scenario("clock_skew", seconds=seconds)
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.until(still.start(still.plan("app-01")), "COMPLETED", step=15)
    assert len(still.launches()) == len(still.simulator.journal("StartRecovery")) == 1
