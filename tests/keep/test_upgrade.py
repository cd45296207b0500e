"""From the first version's database to today's: once, whoever starts how many at a time, and beside old processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models.fields import NOT_PROVIDED

from tests.keep.first_version import BEGUN, OURS
from tests.support.processes import ROOT, database_url

pytestmark = [pytest.mark.both, pytest.mark.slow]

# Made before the first release: there was no older process that they could have been in the way of.
BEFORE_RELEASE = {
    ("executions", "0002_targets"), ("executions", "0003_measured"), ("executions", "0004_readiness"),
    ("executions", "0005_figures"), ("executions", "0006_ended"), ("executions", "0007_dry_run_and_retry"),
    ("plans", "0002_targets"), ("protection", "0002_readiness"), ("audit", "0002_append_only"),
}  # fmt: skip
BREAKING = (
    migrations.RemoveField, migrations.RenameField, migrations.DeleteModel, migrations.RenameModel,
    migrations.AlterModelTable, migrations.AlterUniqueTogether,
)  # fmt: skip


@contextmanager
def empty_database(tmp_path: Path) -> Iterator[str]:
    """The address of a database of its own."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path}/old.sqlite3"
        return
    here = database_url()
    with psycopg.connect(here, autocommit=True) as server:
        server.execute("CREATE DATABASE upgrade_test")
        try:
            yield here.rpartition("/")[0] + "/upgrade_test"
        finally:
            server.execute("DROP DATABASE upgrade_test WITH (FORCE)")


def begin(url: str, *command: str, stderr: int | None = None) -> "subprocess.Popen[str]":
    env = {**os.environ, "DATABASE_URL": url}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True
    )


def printed(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


@pytest.mark.django_db(transaction=True)
def test_two_starts_at_once_upgrade_the_first_version_once(tmp_path: Path) -> None:
    with empty_database(tmp_path) as url:
        printed(begin(url, "-m", "tests.keep.first_version", "make"))
        both = [begin(url, "manage.py", "migrate", "--no-input") for _ in range(2)]
        applied = [line.split()[1] for out in map(printed, both) for line in out.splitlines() if "Applying" in line]
        assert "executions.0002_targets..." in applied
        assert len(applied) == len(set(applied))
        told: dict[str, Any] = json.loads(printed(begin(url, "-m", "tests.keep.first_version", "check")))
    assert told == {
        "runs": [["Old plan", "COMPLETED"], ["Old plan", "PAUSED"]],
        "servers": ["old-01", "old-01"],
        "terminations": [["drsjob-1", "COMPLETED"], ["", "REJECTED"]],
        "began": [BEGUN.isoformat()],
        "plans": ["Tier"],
        "entries": [["ada", "execution.start"]],
        "journal": "",
    }


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_a_database_that_is_late(tmp_path: Path) -> None:
    """As at boot: it refuses, and then it does not. In the place of SQLite's file there is something else at first."""
    with empty_database(tmp_path) as url:
        there = tmp_path / "old.sqlite3"
        if connection.vendor == "sqlite":
            there.mkdir()
        else:
            run_on_server("ALTER DATABASE upgrade_test ALLOW_CONNECTIONS false")
        # One app's: all of them take seconds, and are migrated above.
        command = ("manage.py", "migrate", "contenttypes", "-v0", "--wait", "120")
        with begin(url, *command, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            while "does not answer yet" not in process.stderr.readline():
                assert process.poll() is None
            if connection.vendor == "sqlite":
                there.rmdir()
            else:
                run_on_server("ALTER DATABASE upgrade_test ALLOW_CONNECTIONS true")
            printed(process)
        printed(begin(url, "manage.py", "migrate", "contenttypes", "--check"))


def run_on_server(statement: LiteralString) -> None:
    with psycopg.connect(database_url(), autocommit=True) as server:
        server.execute(statement)


def problem(operation: object) -> str:
    """Why a process of the version before would stumble over this operation; empty when it would not."""
    if isinstance(operation, BREAKING):
        return f"{type(operation).__name__} takes away what an old process still uses: do it one version later"
    if isinstance(operation, migrations.AddField):
        field = operation.field
        optional = field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
        return "" if optional else f"{operation.name} needs null or db_default: old processes do not fill it"
    if isinstance(operation, migrations.AlterField) and not operation.field.null:
        return f"{operation.name} may become narrower: give the reason in SAFE"
    return ""


# Changes that only look dangerous, each with its reason.
SAFE: dict[tuple[str, str], str] = {
    ("notify", "0002_journal_event"): "one more choice, which no database enforces; as wide as before",
    ("notify", "0003_late_event"): "the same",
    ("notify", "0004_leases"): "the same",
    ("notify", "0006_break_glass"): "the same",
    ("notify", "0007_schedule_event"): "the same",
    ("notify", "0008_stream_and_buses"): "one more choice each, and a channel's column grows from 7 to 11",
    ("plans", "0004_steering"): "the same",
    ("executions", "0021_steering"): "the same",
    ("executions", "0028_place_refused_at"): "a table that no release has had",
    (
        "protection",
        "0013_accounts",
    ): "the table is made anew under its name, with an id and defaults (test_two_accounts)",
}


def test_migrations_leave_old_processes_working() -> None:
    loader = MigrationLoader(None)
    found = [
        f"{app}.{name}: {told}"
        for (app, name), migration in loader.disk_migrations.items()
        if app in {*OURS, "notify"} and not migration.initial and name != "0001_initial"
        if (app, name) not in BEFORE_RELEASE and (app, name) not in SAFE
        for operation in migration.operations
        if (told := problem(operation))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (migrations.RemoveField("run", "status"), "takes away"),
        (migrations.RenameField("run", "a", "b"), "takes away"),
        (migrations.AddField("run", "a", models.TextField(default="")), "old processes do not fill it"),
        (migrations.AddField("run", "a", models.TextField(db_default="")), ""),
        (migrations.AddField("run", "a", models.TextField(null=True)), ""),
        (migrations.AlterField("run", "a", models.CharField(max_length=3)), "narrower"),
    ],
)
def test_it_sees_what_old_processes_stumble_over(operation: object, expected: str) -> None:
    assert expected in problem(operation)
    assert bool(problem(operation)) == bool(expected)
