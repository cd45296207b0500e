"""What becomes of runs that were active in a backup: nothing is launched twice, nothing without a person."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import db_clock
from drsorch_site.backup import put_back
from drsorch_site.management.commands import restore
from executions.commands import control
from executions.launching.restored_runs import LOOKED, LOOKING
from executions.models import Execution, LaunchJob
from tests.support.stage import Stage


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def turn_back(kept: Path) -> None:
    call_command("restore", str(kept), "--force")


def turn_back_otherwise(kept: Path) -> None:
    """As a snapshot of RDS does: the rows as they were, due and unmarked; then the command that marks them."""
    put_back(kept, set(MigrationLoader(connection).disk_migrations))
    Execution.objects.active().update(next_step_at=db_clock())
    call_command("restore", "--in-place", "--force")


def hostnames(run: Execution) -> list[str]:
    return [each.hostname for wave in run.waves.order_by("number") for each in wave.servers.order_by("position")]


@pytest.mark.parametrize("back", [turn_back, turn_back_otherwise])
def test_a_launch_after_the_backup_is_found_and_not_repeated(
    stage: Stage, kept: Path, back: Callable[[Path], None]
) -> None:
    run = stage.start(stage.plan("app-01 app-02", "web-01", "web-02"))
    call_command("backup", str(kept))  # nothing was sent yet
    stage.wait(lambda: stage.waves(run)[1].status == "LAUNCHING", run)
    launched = [call["job_id"] for call in stage.launches()]
    assert len(launched) == 2
    back(kept)
    assert stage.picture(run) == ("RUNNING", ["PENDING", "PENDING", "PENDING"])
    assert stage.waves(run)[0].status_message == LOOKING
    stage.until(run, "PAUSED")
    assert [call["job_id"] for call in stage.launches()] == launched
    assert stage.picture(run) == ("PAUSED", ["COMPLETED", "COMPLETED", "PAUSED"])
    assert list(LaunchJob.objects.exclude(job_id="").order_by("wave").values_list("job_id", flat=True)) == launched
    assert stage.waves(run)[2].status_message == LOOKED
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 3
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()


def test_what_was_cancelled_after_the_backup_waits_for_a_person(stage: Stage, kept: Path) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    call_command("backup", str(kept))
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    turn_back(kept)
    stage.advance(7200)
    stage.look()
    assert stage.picture(run) == ("PAUSED", ["PAUSED", "PENDING"])
    assert stage.launches() == []
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.picture(run) == ("CANCELLED", ["SKIPPED", "SKIPPED"])


def test_nothing_is_sent_before_an_old_request_must_have_expired(stage: Stage, kept: Path) -> None:
    """The lost database's engine may have signed a launch in its last second."""
    run = stage.start(stage.plan("app-01"))
    call_command("backup", str(kept))
    turn_back(kept)
    stage.look()
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.look()
    assert stage.launches() == []
    stage.advance(700)
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_a_wave_sent_in_part_pauses_and_can_be_resumed(stage: Stage, kept: Path) -> None:
    plan = stage.plan("app-01", "web-01")
    run = stage.start(plan)
    first = LaunchJob.objects.get(wave__execution=run, wave__number=0)
    late = LaunchJob.objects.create(wave=first.wave, position=1, account_id=first.account_id, region=first.region)
    first.wave.servers.model.objects.create(
        wave=first.wave, job=late, position=1, source_server_id=stage.ids("sso-01")[0], hostname="sso-01"
    )
    stage.look(1)  # the first is sent, the second waits for its 15 s
    assert len(stage.launches()) == 1
    call_command("backup", str(kept))
    turn_back(kept)
    stage.advance(3600)
    stage.look()
    assert stage.picture(run) == ("PAUSED", ["PAUSED", "PENDING"])
    assert len(stage.launches()) == 1
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 3


def test_cancelling_a_wave_sent_in_part_keeps_what_was_launched(stage: Stage, kept: Path) -> None:
    run = stage.start(stage.plan("app-01"))
    first = LaunchJob.objects.get(wave__execution=run)
    late = LaunchJob.objects.create(wave=first.wave, position=1, account_id=first.account_id, region=first.region)
    first.wave.servers.model.objects.create(
        wave=first.wave, job=late, position=1, source_server_id=stage.ids("sso-01")[0], hostname="sso-01"
    )
    stage.look(1)
    call_command("backup", str(kept))
    turn_back(kept)
    stage.until(run, "PAUSED")
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "CANCELLED")
    assert stage.picture(run) == ("CANCELLED", ["FAILED"])
    assert len(stage.launches()) == 1
    launched = run.waves.get().servers.filter(launch_status="LAUNCHED")
    assert [each.recovery_instance_id[:2] for each in launched] == ["i-"]


def test_while_aws_is_silent_a_restored_run_waits_and_says_so(stage: Stage, kept: Path) -> None:
    run = stage.start(stage.plan("app-01"))
    call_command("backup", str(kept))
    stage.look()
    turn_back(kept)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    for _ in range(5):
        stage.advance(400)
        stage.look(1)
    assert stage.fresh(run).status == "RUNNING"
    assert stage.fresh(run).failing_since
    assert len(stage.launches()) == 1
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1
    assert stage.fresh(run).failing_since is None


def test_a_run_started_after_the_backup_is_named(stage: Stage, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = stage.plan("app-01")
    call_command("backup", str(kept))
    run = stage.start(plan)
    stage.look()
    turn_back(kept)
    assert not Execution.objects.filter(pk=run.pk).exists()
    capsys.readouterr()
    call_command("unknown_launches")
    told = capsys.readouterr().out
    assert f"run {run.pk}: {stage.ids('app-01')[0]}" in told
    assert "1 launches of the last 48 h are unknown here." in told
    assert restore.Command.help


def test_what_an_engine_will_take_over_is_no_unknown_launch(
    stage: Stage, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever terminated it would end servers of a recovery that goes on."""

    def told() -> tuple[str, str]:
        capsys.readouterr()
        call_command("unknown_launches")
        unknown, _, ours = capsys.readouterr().out.partition(" launches of the last 48 h are unknown here.\n")
        return unknown, ours

    run = stage.start(stage.plan("app-01", "web-01"))
    call_command("backup", str(kept))
    stage.look()
    [launched] = stage.launches()
    put_back(kept, set(MigrationLoader(connection).disk_migrations))  # as a snapshot of RDS: not marked yet
    unknown, ours = told()
    assert unknown == "0"
    assert launched["job_id"] in ours
    assert "No engine may start before restore --in-place" in ours
    call_command("restore", "--in-place", "--force")
    unknown, ours = told()
    assert unknown == "0"
    assert f"run {run.pk}: {stage.ids('app-01')[0]}. An engine takes it over." in ours
    stage.look()
    assert told() == ("0", "")


@pytest.mark.parametrize("words", [(), ("copy", "--in-place")])
def test_it_wants_a_file_or_to_hear_that_none_is_needed(stage: Stage, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="Name the backup; or say --in-place"):
        call_command("restore", *words)
