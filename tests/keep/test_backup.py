"""Backup while others write, restore, and what a restore refuses."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest
import requests
from django.core.management import CommandError, call_command
from django.core.signals import got_request_exception
from django.db import connection

from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry
from contract.clock import db_clock
from executions import pacemaker
from executions.models import Pacemaker
from identity.tokens import make_token
from protection.models import ProtectionGroup
from tests.support.api_client import make_user
from tests.support.processes import ROOT, database_url, end_other_sessions
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def alone(transactional_db: None) -> None:
    """Nobody else works with the database, whatever ran before."""
    end_other_sessions()


def note(number: int) -> None:
    record(SYSTEM, "test.note", subject_kind="test", subject_id=number)


def notes() -> list[int]:
    return [
        int(each)
        for each in AuditEntry.objects.filter(verb="test.note").order_by("id").values_list("subject_id", flat=True)
    ]


class Writer(threading.Thread):
    """Writes the journal all the time, as an engine does."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped, self.begun = threading.Event(), threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            note(number)
            number += 1
            if number == 20:
                self.begun.set()
        connection.close()

    def __enter__(self) -> "Writer":
        self.start()
        assert self.begun.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join(20)


def test_a_backup_made_while_others_write_comes_back_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "copy"
    with Writer():
        call_command("backup", str(file))
    written = notes()
    note(1_000_000)
    call_command("restore", str(file))
    kept = notes()
    assert 20 <= len(kept) <= len(written)
    assert kept == written[: len(kept)]
    told = capsys.readouterr().out
    assert "Restored: everything is as it was at 2" in told
    assert "The journal holds: " in told
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["copy"]


def test_it_overwrites_no_file(tmp_path: Path) -> None:
    file = tmp_path / "copy"
    file.write_text("mine")
    with pytest.raises(CommandError, match="exists; name a new file"):
        call_command("backup", str(file))
    assert file.read_text() == "mine"
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        call_command("backup", str(tmp_path / "nowhere" / "copy"))


def test_what_lies_in_the_place_of_its_part_gets_nothing_of_it(tmp_path: Path) -> None:
    """In a folder that others write to, somebody may have put a file of theirs there, or a link to one."""
    theirs = tmp_path / "theirs"
    theirs.write_text("")
    theirs.chmod(0o666)
    for name, lead in (("linked", Path.symlink_to), ("shared", Path.hardlink_to)):
        copy = tmp_path / name
        lead(tmp_path / f"{name}.part", theirs)
        call_command("backup", str(copy), verbosity=0)
        assert not copy.is_symlink()
        assert copy.stat().st_mode & 0o777 == 0o600
        assert copy.stat().st_size > 10_000
        assert theirs.stat().st_size == 0


def test_a_database_in_use_is_replaced_only_by_force(tmp_path: Path) -> None:
    file = tmp_path / "copy"
    call_command("backup", str(file))
    note(7)
    opened = sqlite3.connect(connection.settings_dict["NAME"]) if connection.vendor == "sqlite" else None
    with closing(opened or psycopg.connect(database_url())) as other:
        if opened:
            other.execute("SELECT count(*) FROM django_migrations").fetchone()
        with pytest.raises(CommandError, match=r"The database is in use: (another process|1 other sessions)"):
            call_command("restore", str(file))
    assert notes() == [7]
    Pacemaker.objects.update_or_create(pk=1, defaults={"beat_at": db_clock()})
    with pytest.raises(CommandError, match="in use: an engine is running"):
        call_command("restore", str(file))
    call_command("restore", str(file), "--force")
    assert notes() == []
    assert pacemaker.last_beat() is None


def test_a_damaged_or_foreign_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "copy"
    call_command("backup", str(file))
    note(7)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CommandError, match="as it was"):
        call_command("restore", str(file))
    file.write_text("no database")
    with pytest.raises(CommandError, match="as it was"):
        call_command("restore", str(file))
    with pytest.raises(CommandError, match=r"is not there\. The database is as it was"):
        call_command("restore", str(tmp_path / "nothing"))
    assert notes() == [7]


def test_a_copy_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "copy"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('plans', '9999_later', '2030-01-01 00:00:00')"
        )
    call_command("backup", str(file))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
    note(7)
    with pytest.raises(CommandError, match=r"newer version, which has plans\.9999_later"):
        call_command("restore", str(file))
    assert notes() == [7]


def test_an_older_or_missing_client_of_postgresql_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite needs no client program")
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="pg_dump is of version 9, the server of version 1"):
        call_command("backup", str(tmp_path / "copy"))
    old.unlink()
    with pytest.raises(CommandError, match="pg_dump is not installed"):
        call_command("backup", str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A database of a role that needs its password (SCRAM), which is in PGPASSWORD, as every installation has it."""
    data = os.environ.get("POSTGRES_DATA")
    if connection.vendor != "postgresql" or not data:
        pytest.skip("needs a PostgreSQL whose pg_hba.conf is ours")
    rules = Path(data) / "pg_hba.conf"
    trusting = rules.read_text()
    with psycopg.connect(database_url(), autocommit=True) as server:
        server.execute("CREATE ROLE locked LOGIN PASSWORD 'p@ss w0rd/%'")
        server.execute("CREATE DATABASE locked OWNER locked")
        rules.write_text(f"local all locked scram-sha-256\n{trusting}")
        server.execute("SELECT pg_reload_conf()")
        url = database_url().rpartition("/")[0].replace("//postgres:", "//locked:") + "/locked"
        yield {**os.environ, "DATABASE_URL": url, "PGPASSWORD": "p@ss w0rd/%"}
        rules.write_text(trusting)
        server.execute("SELECT pg_reload_conf()")
        server.execute("DROP DATABASE locked WITH (FORCE)")
        server.execute("DROP ROLE locked")


def manage(env: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=240)


def test_a_password_beside_the_address_is_enough(locked: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "copy"
    for words in (["migrate", "--no-input", "-v0"], ["backup", str(file)]):
        done = manage(locked, *words)
        assert done.returncode == 0, done.stderr
    done = manage(locked, "restore", str(file))
    assert "Restored: everything is as it was at 2" in done.stdout, done.stderr
    done = manage({**locked, "PGPASSWORD": "wrong"}, "backup", str(tmp_path / "none"))
    assert done.returncode != 0
    assert "password authentication failed" in done.stderr
    assert not (tmp_path / "none").exists()


def outcomes() -> list[str]:
    return list(AuditEntry.objects.filter(verb="database.backup").order_by("id").values_list("outcome", flat=True))


def test_the_journal_says_how_a_backup_ended(tmp_path: Path) -> None:
    call_command("backup", str(tmp_path / "copy"))
    assert outcomes() == ["BEGUN", "ok"]
    with pytest.raises(CommandError):
        call_command("backup", str(tmp_path / "copy"))
    assert outcomes() == ["BEGUN", "ok", "BEGUN", "FAILED"]
    assert "exists" in AuditEntry.objects.filter(verb="database.backup").order_by("id").last().detail["text"]  # type: ignore[union-attr]
    call_command("restore", str(tmp_path / "copy"))
    assert outcomes() == ["BEGUN"]  # the copy's own


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's file")
def test_web_shows_a_file_that_was_put_in_the_place_of_its_own(tmp_path: Path) -> None:
    """It keeps its connections: to the file that was there it must not."""
    group = ProtectionGroup.objects.create(name="Before", region="us-east-1", account_id="111122223333", owner="x")
    ours, copy, away = (tmp_path / each for each in ("db.sqlite3", "copy.sqlite3", "away.sqlite3"))
    token = make_token(make_user("operator"), timedelta(minutes=5))
    call_command("backup", str(ours))
    ProtectionGroup.objects.filter(pk=group.pk).update(name="After", name_key="after")
    call_command("backup", str(copy))

    def shown(server: WebServer) -> set[str]:
        ask = partial(requests.get, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        with ThreadPoolExecutor(16) as threads:  # as many as answer in its two processes
            answers = list(threads.map(ask, [f"{server.url}/api/v1/protection-groups"] * 64))
        return {each["groupName"] for answer in answers for each in answer.json()["groups"]}

    with web_server(DATABASE_URL=f"sqlite:///{ours}") as server:
        assert shown(server) == {"Before"}
        ours.rename(away)
        for log in (ours.with_name(f"{ours.name}-wal"), ours.with_name(f"{ours.name}-shm")):
            log.unlink(missing_ok=True)
        copy.rename(ours)
        assert shown(server) == {"After"}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's file")
def test_a_request_that_failed_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that it had half read would have all that follow show the moment of that question."""
    monkeypatch.setattr(connection, "close_at", None)
    AuditEntry.objects.exists()
    got_request_exception.send(sender=None)
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is None
