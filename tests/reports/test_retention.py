"""Retention, off by default: hidden runs go after their packs are safely in an archive, and nothing else goes."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from django.core.management import call_command
from django.test import override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drsorch_verify.check import problems
from executions.commands import control
from executions.models import Execution
from reports.archiving import archive_store
from reports.archiving.retention import archive_due
from tests.deploy.cloud import account, build
from tests.deploy.templates import Loader
from tests.executions.commands.test_hiding import cleaned_up, up
from tests.executions.terminating.test_outside_changes import round_of_inventory
from tests.support.stage import Stage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")


def hidden(stage: Stage, hosts: str = "app-01 app-02") -> Execution:
    """Cleaned up, proven and hidden at the stage's time."""
    run = cleaned_up(stage, hosts)
    round_of_inventory(stage)
    assert control.hide_finished(actor=SYSTEM, clock=stage.clock).hidden
    return run


def archived(run: Execution) -> AuditEntry:
    return AuditEntry.objects.get(verb="execution.archived", subject_id=str(run.pk))


@pytest.mark.both
def test_a_run_goes_after_its_pack_was_written(stage: Stage, tmp_path: Path) -> None:
    run, standing = hidden(stage), up(stage, hosts="web-01")
    days, where = timedelta(days=31), str(tmp_path / "archive")
    assert archive_due(stage.clock() + timedelta(days=29), 30, where) == 0
    assert archive_due(stage.clock() + days, 30, where) == 1
    assert list(Execution.objects.values_list("pk", flat=True)) == [standing.pk]
    entry = archived(run)
    pack = Path(entry.detail["archive"]).read_bytes()
    assert hashlib.sha256(pack).hexdigest() == entry.detail["sha256"]
    assert problems(pack) == []
    assert AuditEntry.objects.filter(subject_id=str(run.pk), verb="execution.start").exists()
    assert archive_due(stage.clock() + days, 30, where) == 0
    assert len(list((tmp_path / "archive").iterdir())) == 1


@pytest.mark.both
def test_nothing_goes_that_could_not_be_written(stage: Stage, tmp_path: Path) -> None:
    run = hidden(stage)
    (tmp_path / "file").write_text("no directory")
    assert archive_due(stage.clock() + timedelta(days=31), 30, str(tmp_path / "file")) == 0
    assert Execution.objects.get().pk == run.pk
    assert not AuditEntry.objects.filter(verb="execution.archived").exists()


@pytest.mark.both
def test_a_run_whose_clean_up_is_not_proven_or_that_is_not_hidden_stays(stage: Stage, tmp_path: Path) -> None:
    run, later = cleaned_up(stage), timedelta(days=31)
    assert archive_due(stage.clock() + later, 30, str(tmp_path)) == 0
    control.hide_finished(actor=SYSTEM, clock=stage.clock)
    assert archive_due(stage.clock() + later, 30, str(tmp_path)) == 0, "DRS was not asked once more yet"
    round_of_inventory(stage)
    assert archive_due(stage.clock() + later, 30, str(tmp_path)) == 1
    assert not Execution.objects.filter(pk=run.pk).exists()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with account(monkeypatch.setenv, monkeypatch.delenv):
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="packs", ObjectLockEnabledForBucket=True)
        yield s3


@pytest.mark.slow
def test_a_bucket_gets_it_whole(bucket: Any) -> None:
    where = archive_store.store("s3://packs/evidence", "a.zip", b"whole")
    assert where == "s3://packs/evidence/a.zip"
    assert bucket.get_object(Bucket="packs", Key="evidence/a.zip")["Body"].read() == b"whole"
    with pytest.raises(archive_store.NotStored, match="NoSuchBucket"):
        archive_store.store("s3://nobodys/evidence", "a.zip", b"whole")


def test_it_is_off_unless_it_is_set(db: None) -> None:
    out = StringIO()
    call_command("archive_runs", stdout=out)
    assert "everything is kept" in out.getvalue()
    with override_settings(RETENTION_DAYS=30, ARCHIVE="/nowhere"):
        call_command("archive_runs", stdout=out)
    assert "deleted here: 0 runs." in out.getvalue()


def test_the_stack_makes_a_bucket_that_nobody_can_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    template = Path(__file__).resolve().parents[2] / "deploy" / "cloudformation" / "archive.yaml"
    with account(monkeypatch.setenv, monkeypatch.delenv):
        made = build("archive", template, RetentionDays="30")
        name = made["Archive"].removeprefix("s3://").partition("/")[0]
        assert made["Archive"] == f"s3://{name}/evidence"
        assert archive_store.store(made["Archive"], "a.zip", b"whole") == f"{made['Archive']}/a.zip"
    said = yaml.load(template.read_text(), Loader)["Resources"]["Bucket"]["Properties"]
    rule = said["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert all(said["PublicAccessBlockConfiguration"].values())
    assert (said["ObjectLockEnabled"], rule["Mode"]) == (True, "COMPLIANCE")
