"""What the database takes of a run: a mistake of the program is refused, and not found out at 3 a.m."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from executions.models import Execution, LaunchJob, ServerRun, TerminationJob, WaveRun

pytestmark = [pytest.mark.both, pytest.mark.django_db, pytest.mark.field("B6")]

NOW = datetime(2026, 11, 29, 3, tzinfo=UTC)
Change = Callable[[], object]


def made(job_id: str = "drsjob-30000000000000001") -> Execution:
    """A run of two waves, the first under way."""
    run = Execution.objects.create(
        plan_name="P", kind="DRILL", status="LAUNCHING", total_waves=2, initiated_by="x", started_by="x",
        next_step_at=NOW,
    )  # fmt: skip
    for number, (status, sent) in enumerate([("LAUNCHING", {"status": "STARTED", "job_id": job_id}), ("PENDING", {})]):
        wave = WaveRun.objects.create(execution=run, number=number, name="W", status=status)
        job = LaunchJob.objects.create(wave=wave, position=0, account_id="1" * 12, region="us-east-1", **sent)
        ServerRun.objects.create(wave=wave, job=job, position=0, source_server_id=f"s-{number:017x}", hostname="h")
    TerminationJob.objects.create(execution=run, account_id="1" * 12, region="us-east-1", requested_by="x")
    return run


REFUSED: dict[str, Change] = {
    "an active run that is never due": lambda: Execution.objects.update(next_step_at=None),
    "a job of DRS without its id": lambda: LaunchJob.objects.update(job_id=""),
    "an id of a job that DRS never had": lambda: LaunchJob.objects.update(status="QUEUED"),
    "a termination under way without its id": lambda: TerminationJob.objects.update(status="STARTED"),
    "a refused termination with an id": lambda: TerminationJob.objects.update(status="REJECTED", job_id="drsjob-3"),
    "a launched server without a time": lambda: ServerRun.objects.update(launch_status="LAUNCHED"),
    "two pauses of a run": lambda: WaveRun.objects.update(status="PAUSED"),
    "a wave that is over without an end": lambda: WaveRun.objects.update(status="COMPLETED"),
    "a wave that has ended and goes on": lambda: WaveRun.objects.update(ended_at=NOW),
    "a run that is over without an end": lambda: Execution.objects.update(status="COMPLETED"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_the_database_refuses_what_no_run_can_be(mistake: str) -> None:
    made()
    with pytest.raises(IntegrityError), transaction.atomic():
        REFUSED[mistake]()


@pytest.mark.django_db(transaction=True)
def test_rows_of_before_are_repaired_so_that_the_constraints_take_them(request: pytest.FixtureRequest) -> None:
    run = made()  # with the columns of today
    first, second = WaveRun.objects.order_by("number")
    third = WaveRun.objects.create(execution=run, number=2, name="W")
    executor = MigrationExecutor(connection)
    latest = executor.loader.graph.leaf_nodes()
    executor.migrate([("executions", "0025_places")])
    request.addfinalizer(lambda: MigrationExecutor(connection).migrate(latest))
    Execution.objects.update(next_step_at=None)
    WaveRun.objects.filter(pk=first.pk).update(status="COMPLETED")
    WaveRun.objects.filter(pk=second.pk).update(status="PAUSED", ended_at=NOW)
    WaveRun.objects.filter(pk=third.pk).update(status="PAUSED")
    LaunchJob.objects.filter(wave=first).update(job_id="")
    LaunchJob.objects.filter(wave=second).update(job_id="drsjob-30000000000000002")
    ServerRun.launches.update(launch_status="LAUNCHED")
    TerminationJob.objects.update(status="STARTED")
    MigrationExecutor(connection).migrate(latest)
    assert Execution.objects.get().next_step_at == datetime(9000, 1, 1, tzinfo=UTC), "nobody looks at it, as before"
    ended = dict(WaveRun.objects.values_list("number", "ended_at"))
    assert [at is not None for _, at in sorted(ended.items())] == [True, False, False]
    third.refresh_from_db()
    assert (WaveRun.objects.get(pk=second.pk).status, third.status) == ("PAUSED", "PENDING")
    assert set(LaunchJob.objects.values_list("status", "watched")) == {("WITHDRAWN", False), ("PENDING", True)}
    assert not ServerRun.objects.filter(launched_at=None).exists()
    assert TerminationJob.objects.get().status == "REJECTED"
