"""Another installation goes on where this one was lost, and this one stops if it comes back."""

import errno
import json
import os
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client, override_settings

from audit import sealing
from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import db_clock
from drsorch_site import health
from drsorch_site.backup import put_back
from drsorch_site.page_context import beat as known_beat
from drsorch_verify import archive
from executions import installation, pacemaker
from executions.commands import control
from executions.launching.restored_runs import LOOKED
from executions.models import Execution, Installation, LaunchJob
from executions.readiness.facts import readiness_of
from executions.terminating.terminate import terminate
from plans.models import RecoveryPlan
from reports.archiving.archive_store import NotStored, load, store
from takeover import rows
from takeover.bundle import Runbooks, make
from takeover.sealed import MANIFEST, Broken, open_sealed
from takeover.takeover import Refused, claim, take_over
from takeover.writer import Writer
from tests.support.emptying import empty_database
from tests.support.stage import Stage

pytestmark = [pytest.mark.django_db(transaction=True)]


# A new model is in the bundle, or here.
LEFT_OUT = {
    *("audit.AuditSeal", "audit.SealMark", "audit.UnsealedEntry"),  # the new installation seals its own journal
    *("auth.Group", "auth.User_groups", "drsorch_site.ScopedRole"),  # by the names of groups, in `rows.roles`
    *("auth.Group_permissions", "auth.Permission", "auth.User_user_permissions", "contenttypes.ContentType"),
    *("drsorch_site.Grant", "drsorch_site.ServiceToken", "sessions.Session", "admin.LogEntry"),  # what opens something
    *("executions.Installation", "executions.Pacemaker", "executions.Place"),  # of each installation its own
    *("executions.AwsErrors", "executions.PlanReadiness", "protection.LaunchSettings", "protection.RecoveryInstance"),
    *("protection.RegionInventory", "protection.SourceServer", "reports.MadeReport"),  # read or made anew
    *("notify.Delivery", "notify.Notice", "notify.StreamMark"),  # what was, or was not, told of the lost one
    *("documents.Applied", "drill_requests.DrillRequest", "reports.ReadinessDay"),  # nobody misses it in a disaster
}


def test_every_table_of_the_product_is_in_a_bundle_or_left_out_on_purpose() -> None:
    others = ("axes.", "django_q.")
    labels = {each._meta.label for each in apps.get_models(include_auto_created=True)}
    dumped = {each["model"] for each in rows.dumped([])}
    assert {each for each in labels - dumped if not each.startswith(others)} == LEFT_OUT


def bundle() -> bytes:
    return make(Runbooks()).content


def elsewhere(content: bytes) -> list[str]:
    """A second installation in the place of the first: its database is empty, and takes over."""
    empty_database()
    told: list[str] = []
    take_over(content, told.append)
    return told


def come_back(kept: Path) -> None:
    """The first one again, as it was when it was lost, with its runs under way."""
    put_back(kept, set(MigrationLoader(connection).disk_migrations))
    Execution.objects.active().update(next_step_at=db_clock())


def tags(stage: Stage) -> set[str]:
    servers = stage.simulator.client().describe_source_servers(maxResults=200)["items"]
    return {each["tags"]["drsorch:installation"] for each in servers if "drsorch:installation" in each["tags"]}


@pytest.mark.both
def test_a_run_goes_on_elsewhere_and_the_old_installation_stops(
    stage: Stage, tmp_path: Path, client: Client, admin_user: User
) -> None:
    admin_user.groups.add(Group.objects.get(name="recovery-manager"))
    run = stage.start(stage.plan("app-01 app-02", "web-01", "web-02"))
    content = bundle()  # nothing was sent yet
    stage.wait(lambda: stage.waves(run)[1].status == "LAUNCHING", run)
    assert len(stage.launches()) == 2
    call_command("backup", str(tmp_path / "lost"))
    old = str(installation.mark_of(installation.own()))
    assert any("4 servers are marked" in each for each in elsewhere(content))

    ours = str(installation.mark_of(installation.own()))
    assert tags(stage) == {ours}
    assert (ours[:2], ours != old, ours.split(":")[1]) == ("2:", True, old.split(":")[1])
    person = User.objects.get(username=admin_user.username)
    assert (person.pk, person.check_password("password"), person.groups.get().name) == (
        admin_user.pk,
        False,
        "recovery-manager",
    )
    stage.until(run, "PAUSED")
    assert (len(stage.launches()), stage.waves(run)[2].status_message) == (2, LOOKED)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")  # and its evidence pack, with the journal of both, verifies
    assert len(stage.launches()) == 3
    assert sealing.verify().problem == ""

    come_back(tmp_path / "lost")
    assert stage.picture(run) == ("LAUNCHING", ["COMPLETED", "LAUNCHING", "PENDING"])
    for _ in range(6):
        stage.advance(900)
        stage.look()
    assert len(stage.launches()) == 3
    assert not LaunchJob.objects.filter(wave__execution=run, wave__number=2).exclude(status="QUEUED").exists()
    assert Installation.objects.get().superseded_by == ours
    assert AuditEntry.objects.filter(verb="installation.superseded").count() == 1
    health.latest.forget()
    assert health.latest.get().checks["installation"] == installation.STOPPED
    assert client.get("/healthz").json() == {"status": "ok", "installation": "superseded"}
    pacemaker.take(uuid.uuid4(), db_clock())
    known_beat.asked_at = float("-inf")
    client.force_login(admin_user)
    page = client.get(f"/executions/{run.pk}").content.decode()
    assert page.count("Another installation has taken over.") >= 2  # on every page, and of this run
    known_beat.asked_at, known_beat.superseded = float("-inf"), False
    (readiness,) = readiness_of([RecoveryPlan.objects.get().pk], stage.clock()).values()
    assert "INSTALLATION_SUPERSEDED" in [each.code for each in readiness.reasons]

    claim(lambda _: None)  # somebody says that this one is the right one after all
    assert {each[:2] for each in tags(stage)} == {"3:"}
    stage.until(run, "PAUSED", "COMPLETED")
    assert len(stage.launches()) == 3


def test_the_old_one_ends_no_instance_either_before_it_has_read_who_launches(stage: Stage, tmp_path: Path) -> None:
    run = stage.until(stage.start(stage.plan("app-01")), "COMPLETED")
    content = Path(Writer(str(tmp_path / "kept")).write()).read_bytes()
    call_command("backup", str(tmp_path / "lost"))
    elsewhere(content)
    come_back(tmp_path / "lost")
    assert not installation.is_superseded()
    terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.simulator.journal("TerminateRecoveryInstances") == []
    assert installation.is_superseded()


def test_the_clock_of_the_lost_one_may_have_been_wrong(stage: Stage) -> None:
    """By it the run began later than it was taken over: all the same its launch is found, and not sent again."""
    run = stage.start(stage.plan("app-01"))
    Execution.objects.update(started_at=db_clock() + timedelta(hours=1))
    content = bundle()
    stage.wait(lambda: len(stage.launches()) == 1, run)
    elsewhere(content)
    ours = Installation.objects.get()
    assert ours.took_over_at is not None
    assert ours.took_over_at >= Execution.objects.get().started_at
    stage.wait(lambda: bool(LaunchJob.objects.get().job_id), run)
    assert AuditEntry.objects.filter(verb="launch.adopted").exists()
    assert len(stage.launches()) == 1


def test_a_bundle_that_is_older_than_the_last_takeover_is_told(stage: Stage) -> None:
    stage.plan("app-01")
    content = bundle()
    assert not any("TAKEN OVER BEFORE" in each for each in elsewhere(content))
    assert any("TAKEN OVER BEFORE, as epoch 2" in each for each in elsewhere(content))
    assert {each[:2] for each in tags(stage)} == {"3:"}


def test_a_launch_before_the_mark_is_shown_is_looked_for_before_it_is_repeated(stage: Stage, tmp_path: Path) -> None:
    """Where the servers could not be marked at the takeover, an engine marks them, and then waits out whatever the lost
    one may have had under way."""
    run = stage.start(stage.plan("app-01"))
    content = bundle()
    stage.simulator.scenario("access_denied", operation="TagResource")
    assert any("could not be marked" in each for each in elsewhere(content))
    stage.until(run, "PAUSED")
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.advance(700)
    stage.look()
    assert stage.launches() == []  # no mark, no launch
    stage.simulator.clear_scenarios()
    stage.advance(60)
    stage.look()
    assert (len(tags(stage)), stage.launches()) == (1, [])
    stage.advance(300)
    stage.look()
    assert stage.launches() == []
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_while_drs_does_not_say_who_launches_nothing_is_launched_once_there_is_a_bundle(
    stage: Stage, tmp_path: Path
) -> None:
    run = stage.start(stage.plan("app-01"))
    Writer(str(tmp_path)).write()
    stage.simulator.scenario("internal_error_before", operation="DescribeSourceServers")
    stage.look()
    assert stage.launches() == []
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def disk_is_full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_run_is_launched_when_a_bundle_has_it_but_waits_for_no_store(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(str(tmp_path), clock=stage.clock)
    with override_settings(BUNDLE=str(tmp_path)):
        first = stage.start(stage.plan("app-01"))
        stage.look()
        assert stage.launches() == []
        assert writer.write_if_due()
        assert not writer.write_if_due()  # nothing has changed since
        stage.advance(2)
        stage.look()
        assert len(stage.launches()) == 1
        stage.start(stage.plan("web-01"))
        stage.look()
        assert len(stage.launches()) == 1
        with pytest.raises(NotStored):
            Writer("/proc/nowhere", clock=stage.clock).write()
        stage.advance(2)
        stage.look()
        assert len(stage.launches()) == 2
    assert Installation.objects.get().bundle_failing_since is not None
    monkeypatch.setattr("os.fsync", disk_is_full)
    with pytest.raises(NotStored, match="No space left"):
        store(str(tmp_path), "another.zip", b"half of it")
    assert not [each for each in tmp_path.iterdir() if "another" in each.name]
    assert [str(first.pk)] == Installation.objects.get().bundled_runs


def test_a_bundle_is_its_owners_alone(stage: Stage, tmp_path: Path) -> None:
    stage.plan("web-01")
    tmp_path.chmod(0o755)  # a directory that was there is not closed by us
    kept = Path(Writer(str(tmp_path), clock=stage.clock).write())
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.chmod(0o644)  # as an earlier version wrote it
    part = tmp_path / f".{kept.name}.part"
    part.touch(0o644)
    assert Path(Writer(str(tmp_path), clock=stage.clock).write()) == kept
    assert kept.stat().st_mode & 0o777 == 0o600
    for wrong in ("s3://", "s3:///bundles"):
        with pytest.raises(NotStored, match=f"{wrong} names no bucket; use s3://BUCKET/PREFIX"):
            store(wrong, kept.name, b"sealed")
        with pytest.raises(NotStored, match=f"{wrong} names no bucket; use s3://BUCKET/KEY"):
            load(wrong)


def test_a_bundle_that_was_changed_or_is_of_others_is_not_believed(stage: Stage, tmp_path: Path) -> None:
    stage.plan("app-01", name="Billing")
    User.objects.create_user("ada", password="a password that nobody reads in it")
    content = bundle()
    manifest, packed = open_sealed(content)
    files = archive.read(content)
    assert b"Billing" in files["configuration.json"]
    assert b"RUNBOOK: Billing" in files["runbooks.txt"]
    assert b"Billing" in packed
    assert User.objects.get().password.encode() not in packed
    changed = json.dumps({**manifest, "installation": {**manifest["installation"], "epoch": 9}}).encode()
    for forged in (
        archive.build({**files, MANIFEST: changed}),
        archive.build({**files, "runbooks.txt": b"Stop everything."}),
        content[:-1],
        b"nothing",
    ):
        with pytest.raises(Broken):
            open_sealed(forged)
    with override_settings(SECRET_KEY="of another installation that nobody knows"):
        with pytest.raises(Broken, match="DJANGO_SECRET_KEY"):
            open_sealed(content)
        with override_settings(SECRET_KEY_FALLBACKS=["the-tests-need-no-secret-but-a-long-one"]):
            assert open_sealed(content)[0] == manifest
    with pytest.raises(Refused, match="in use: it has recovery plans"):
        take_over(content, lambda _: None)
    (tmp_path / "bundle").write_bytes(b"nothing")
    with pytest.raises(CommandError, match=r"Nothing was changed: .*no bundle"):
        call_command("takeover", str(tmp_path / "bundle"))
