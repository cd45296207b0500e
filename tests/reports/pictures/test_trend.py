"""What the last runs of a plan achieved: the report's figures, drawn as points that lead to their runs."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions.models import Execution, ServerRun
from executions.states import ExecutionStatus, Kind, LaunchStatus
from plans.models import RecoveryPlan
from reports.history.trend import MOST_RUNS, trend_of
from reports.services import report
from tests.console import world
from tests.support.api_client import Api

HX = {"HX-Request": "true"}


def run_of(plan: RecoveryPlan, *, days_ago: int, minutes: int, kind: Kind = Kind.DRILL, **columns: Any) -> Execution:
    """A run that is over, whose servers came up so many minutes after its start, with data of five minutes before."""
    run = world.start(plan, kind)
    started = timezone.now() - timedelta(days=days_ago)
    for wave in run.waves.all():
        world.launch(wave)
    servers = ServerRun.objects.filter(wave__execution=run)
    servers.update(
        launched_at=started + timedelta(minutes=minutes),
        point_in_time=started - timedelta(minutes=5),
        launch_status=LaunchStatus.TERMINATED,  # later, so that nothing is in the way of the next run
    )
    run.holds.all().delete()
    ended = started + timedelta(minutes=minutes + 1)
    told = {"status": ExecutionStatus.COMPLETED, "started_at": started, "ended_at": ended, "next_step_at": None}
    return world.change(run, **(told | columns))


def target(plan: RecoveryPlan, rto: int | None, rpo: int | None = None) -> RecoveryPlan:
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=rto, rpo_minutes=rpo)
    return plan


def page_of(api: Api, plan: RecoveryPlan, **headers: str) -> str:
    api.client.force_login(api.user)
    html: str = api.client.get(f"/recovery-plans/{plan.pk}/history", headers=headers).content.decode()
    return html


def test_its_figures_are_those_of_the_reports(admin: Api) -> None:
    plan = target(world.plan("Payments"), 30, 10)
    quick = run_of(plan, days_ago=40, minutes=20)
    slow = run_of(target(plan, 15, 10), days_ago=20, minutes=25)
    real = run_of(plan, days_ago=10, minutes=14, kind=Kind.RECOVERY)
    broken = run_of(plan, days_ago=5, minutes=9, status=ExecutionStatus.PARTIAL)
    lost = ServerRun.objects.filter(wave__execution=broken).first()
    assert lost
    ServerRun.objects.filter(pk=lost.pk).update(launch_status=LaunchStatus.FAILED, launched_at=None)
    again = run_of(
        plan, days_ago=4, minutes=3, attempt=2, first_attempt_id=broken.pk, first_started_at=broken.started_at
    )
    trend = trend_of(plan.pk)
    assert [each.run.pk for each in trend.points] == [quick.pk, slow.pk, real.pk, broken.pk, again.pk]
    for each in trend.points:
        told = report(each.run.pk, timezone.now())["measured"]
        for key, figure in (("rto", each.rta), ("rpo", each.rpa)):
            known = (figure.verdict.reached, figure.verdict.seconds, figure.verdict.target)
            assert known == tuple(told[key][name] for name in ("reached", "seconds", "targetSeconds"))  # type: ignore[literal-required]
        assert each.is_complete == told["complete"]
    rta, rpa = trend.charts
    assert [each.figure.is_known for each in rta.marks] == [True, True, True, False, True]
    assert len({each.target_y for each in rta.marks}) == 2, "the target that each was started with"
    assert (rta.marks[1].y < rta.marks[1].target_y, rta.marks[0].y > rta.marks[0].target_y) == (True, True)  # type: ignore[operator]
    assert rpa.sentence.endswith("; 4 of 4 within the target; the last run: 0 s.")

    html = page_of(admin, plan)
    drawn = html.partition('id="trend"')[2].partition("trend-table")[0]
    for run in (quick, slow, real, broken, again):
        assert drawn.count(f'href="/executions/{run.pk}"') == 2  # once a chart
    assert len(re.findall(r'd="M0-7 7 0', drawn)) == 2, "a recovery has a shape of its own"
    assert len(re.findall(r'd="M-5-5 5 5', drawn)) == 2, "and so has what has no figure"
    assert html.count('<th scope="row"><a href="/executions/') == 5
    assert "not every server came up" in html


def test_nothing_and_one_point_are_said_as_such(admin: Api) -> None:
    plan = world.plan("Payments")
    assert "No run of this plan has ended yet" in page_of(admin, plan)
    assert "plan-history" not in page_of(admin, plan)
    run_of(plan, days_ago=1, minutes=4)
    part = page_of(admin, plan, **HX)
    assert part.startswith("{#") is False
    assert "<html" not in part
    assert "One run so far: a trend needs two." in part
    assert "the last 1 of" not in part
    admin.client.force_login(admin.user)
    whole = admin.client.get(f"/recovery-plans/{plan.pk}").content.decode()
    assert f'hx-get="/recovery-plans/{plan.pk}/history"' in whole


@pytest.mark.both
def test_it_is_bounded_and_asks_no_more_for_more_runs(db: None) -> None:
    plan = world.plan("Payments")
    for at in range(2):
        run_of(plan, days_ago=at + 1, minutes=4)
    with CaptureQueriesContext(
        connection,
    ) as few:
        trend_of(plan.pk)
    now = timezone.now()
    Execution.objects.bulk_create(
        Execution(
            pk=uuid.uuid4(), plan=plan, plan_name=plan.name, kind=Kind.DRILL, status=ExecutionStatus.COMPLETED,
            total_waves=1, initiated_by="x", started_by="x", started_at=now, ended_at=now,
        )
        for _ in range(MOST_RUNS + 5)
    )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        found = trend_of(plan.pk)
    assert (len(found.points), found.total) == (MOST_RUNS, MOST_RUNS + 7)
    assert len(many) <= len(few) + 1, "only how many there are in all"
    assert len(few) <= 6
