"""The time of each wave beside the last five runs of its plan: the report's figures, and which runs those are."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions.measuring.time_parts import Part
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from reports.history.phases import phases_of
from reports.services import report
from tests.console import world
from tests.support.api_client import Api


def timed(run: Execution, started: datetime, *, snapshot: int, launch: int) -> Execution:
    """As if its waves had begun then, one after the other: a minute in the queue, a snapshot, and the launch."""
    begin = started
    for wave in run.waves.order_by("number"):
        job = wave.jobs.get()
        LaunchJob.objects.filter(pk=job.pk).update(intent_at=begin)
        up = begin + timedelta(seconds=60 + snapshot + launch)
        for at, server in enumerate(wave.servers.all()):
            for event, seconds in (("SNAPSHOT_START", 60), ("LAUNCH_START", 60 + snapshot)):
                JobEvent.objects.create(
                    job=job, at=begin + timedelta(seconds=seconds), event=event,
                    source_server_id=server.source_server_id, digest=uuid.uuid4().hex,
                )  # fmt: skip
            ServerRun.objects.filter(pk=server.pk).update(launched_at=up - timedelta(seconds=10 - 10 * at))
        WaveRun.objects.filter(pk=wave.pk).update(started_at=begin, ended_at=up)
        begin = up
    Execution.objects.filter(pk=run.pk).update(started_at=started, ended_at=begin)
    return Execution.objects.get(pk=run.pk)


def again(plan: RecoveryPlan) -> Execution:
    run = world.start(plan)
    for wave in run.waves.all():
        world.launch(wave)
    run.holds.all().delete()
    return world.change(run, status=ExecutionStatus.COMPLETED, ended_at=timezone.now(), next_step_at=None)


@pytest.mark.both
def test_it_is_the_time_of_the_report_beside_five_runs(admin: Api) -> None:
    plan, now = world.plan("Payments"), timezone.now().replace(microsecond=0)
    runs = [
        timed(again(plan), now - timedelta(days=20 - at), snapshot=100 + at, launch=200 - 10 * at) for at in range(7)
    ]
    Execution.objects.filter(pk=runs[4].pk).update(attempt=2)  # a retry launches a part
    Execution.objects.filter(pk=runs[3].pk).update(plan_copy={"version": 99})
    last = Execution.objects.get(pk=runs[-1].pk)
    with CaptureQueriesContext(connection) as asked:
        found = phases_of(last)
    assert len(asked) <= 5
    assert [each.pk for each in found.before] == [runs[at].pk for at in (5, 3, 2, 1, 0)]
    assert [each.pk for each in found.changed] == [runs[3].pk]
    for run in (last, runs[5], runs[0]):
        told = report(run.pk, timezone.now())["waves"]
        drawn = [next(bar for bar in wave.bars if bar.run.pk == run.pk) for wave in found.waves]
        assert [each.took for each in drawn] == [each["tookSeconds"] for each in told]
        assert [{part.value: seconds for part, seconds in each.split.items()} for each in drawn] == [
            each["split"] for each in told
        ]
    first = found.waves[0]
    assert first.parts == [Part.QUEUE, Part.SNAPSHOT, Part.LAUNCH]
    assert first.sentence == "5 min 6 s; before: 5 min 15 s to 6 min, in the middle 5 min 42 s."

    admin.client.force_login(admin.user)
    page = admin.client.get(f"/executions/{last.pk}/phases").content.decode()
    for run in found.before:
        assert f'href="/executions/{run.pk}/report"' in page
    assert page.count("This run") >= 2
    assert (
        f'hx-get="/executions/{last.pk}/phases"' in admin.client.get(f"/executions/{last.pk}/report").content.decode()
    )


def test_the_first_run_has_nothing_beside_it(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    admin.client.force_login(admin.user)
    page = admin.client.get(f"/executions/{run.pk}/phases").content.decode()
    assert "nothing to compare it with" in page
    assert '<svg class="drawn"' not in page
