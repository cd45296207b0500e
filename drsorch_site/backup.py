"""Copies of the database: made while the product works, and put back while it does not.

SQLite: its online backup. PostgreSQL: pg_dump's custom format, put back in one transaction. Active runs are put back
asleep, so that no engine can touch them before `executions.launching.restored_runs.prepare_for_recount` has seen them.
"""

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import pq

# No engine takes a row that is never due, as executions/runs/claim.py understands it.
ASLEEP = "UPDATE executions_execution SET next_step_at = '9000-01-01 00:00:00', claim = NULL WHERE ended_at IS NULL"
PUBLIC_ASLEEP = ASLEEP.replace("UPDATE ", "UPDATE public.")  # a dump's script empties the search path
APPLIED = "SELECT app, name FROM django_migrations"


class BackupError(Exception):
    """Why there is no copy, or why it was not put back; a sentence for whoever typed the command."""


def back_up(target: Path) -> None:
    """Write a whole, checked copy to `target`, which must not exist; it is readable for its owner only."""
    if target.exists():
        raise BackupError(f"{target} exists; name a new file.")
    part = target.with_name(f"{target.name}.part")
    try:
        _make_private(part)
        if connection.vendor == "sqlite":
            _copy_sqlite(_database_file(), part)
            check_sqlite(part)
        else:
            _check_version("pg_dump")
            _tool("pg_dump", "--no-password", "--format=custom", "--no-owner", "--no-privileges", f"--file={part}")
            _tool("pg_restore", "--list", str(part))
        with part.open("rb") as copied:
            os.fsync(copied.fileno())
        part.rename(target)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)


def _make_private(file: Path) -> None:
    """An empty file of ours alone, in the place of whatever has its name: a folder may be shared, and what somebody put
    there before could be read by them, lead elsewhere, or be changed until psql runs it."""
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def put_back(source: Path, known: set[tuple[str, str]]) -> None:
    """Replace the database's content with a copy. `known` are the migrations of this version: a copy may lack some,
    not have others. All or nothing: whatever fails leaves the database as it was."""
    if not source.is_file():
        raise BackupError(f"{source} is not there.")
    if connection.vendor == "sqlite":
        _put_back_sqlite(source, known)
    else:
        _put_back_postgresql(source, known)


def others_at_work() -> str:
    """Who uses the database now, in words; empty when nobody is known to."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"  # not the server's own vacuuming
            )
            (count,) = cursor.fetchone()
        return f"{count} other sessions" if count else ""
    file = _database_file()
    connection.close()
    return "another process" if file.exists() and _is_open_elsewhere(file) else ""


# SQLite


def _database_file() -> Path:
    return Path(connection.settings_dict["NAME"])


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's online backup: a consistent picture, while others write. The copy is one file, without a log beside."""
    try:
        with closing(_open(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"Copying {source.name} failed: {error}.") from error


def _open(file: Path) -> sqlite3.Connection:
    """For reading only: a file that is not there must not come into being."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=20)


def check_sqlite(file: Path) -> set[tuple[str, str]]:
    """The migrations of a copy, or BackupError when it is damaged or not one of ours."""
    try:
        with closing(_open(file)) as copy:
            (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
            broken = copy.execute("PRAGMA foreign_key_check").fetchone()
            applied = set(copy.execute(APPLIED))
    except sqlite3.Error as error:
        raise BackupError(f"{file.name} is not a copy of this product's database: {error}.") from error
    if verdict != "ok" or broken:
        raise BackupError(f"{file.name} is damaged: {verdict if verdict != 'ok' else broken}.")
    return applied


def _is_open_elsewhere(file: Path) -> bool:
    """Only the last one out can switch the write-ahead log off."""
    with closing(sqlite3.connect(file, timeout=0)) as database:
        try:
            database.execute("PRAGMA journal_mode=DELETE")
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            return True
    return False


def _put_back_sqlite(source: Path, known: set[tuple[str, str]]) -> None:
    _check_known(check_sqlite(source), known)
    target = _database_file()
    connection.close()
    asleep = target.with_name(f"{target.name}.restoring")
    try:
        _copy_sqlite(source, asleep)
        with closing(sqlite3.connect(asleep)) as copy, copy:
            copy.execute(ASLEEP)
        # Through SQLite, never by replacing the file: a log of the old one would be taken for the new one's.
        with closing(_open(asleep)) as copy, closing(sqlite3.connect(target, timeout=20)) as database:
            copy.backup(database)
            database.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise BackupError(f"{target.name} cannot be replaced: {error}.") from error
    finally:
        for left in (asleep, asleep.with_name(f"{asleep.name}-wal"), asleep.with_name(f"{asleep.name}-shm")):
            left.unlink(missing_ok=True)


def _check_known(applied: set[tuple[str, str]], known: set[tuple[str, str]]) -> None:
    newer = sorted(f"{app}.{name}" for app, name in applied - known)
    if newer:
        raise BackupError(f"The copy is of a newer version, which has {', '.join(newer[:3])}. Install that version.")


# PostgreSQL


def _put_back_postgresql(source: Path, known: set[tuple[str, str]]) -> None:
    _check_version("pg_restore")
    _check_version("psql")
    rows = _tool("pg_restore", "--data-only", "--table=django_migrations", "--file=-", str(source)).splitlines()
    copied = [row.split("\t") for row in rows if row.count("\t") == 3]
    if not copied:
        raise BackupError(f"{source.name} is not a copy of this product's database.")
    _check_known({(row[1], row[2]) for row in copied}, known)
    script = source.with_name(f"{source.name}.sql.part")
    try:
        _make_private(script)
        _tool("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(source))
        connection.close()
        _tool(
            "psql", "--no-psqlrc", "--no-password", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
            "--output=/dev/null", "--command=SET lock_timeout = '10s'", "--command=DROP SCHEMA public CASCADE",
            "--command=CREATE SCHEMA public", f"--file={script}", f"--command={PUBLIC_ASLEEP}",
        )  # fmt: skip
    except OSError as error:
        raise BackupError(f"{script} cannot be written: {error.strerror or error}.") from error
    finally:
        script.unlink(missing_ok=True)


def _check_version(tool: str) -> None:
    """An older tool cannot read a newer server."""
    found = re.search(r"(\d+)", _tool(tool, "--version"))
    have = int(found[1]) if found else 0
    connection.ensure_connection()
    need = connection.pg_version // 10_000  # type: ignore[attr-defined]
    if have < need:
        raise BackupError(
            f"{tool} is of version {have}, the server of version {need}. Install PostgreSQL {need}'s client."
        )


def _tool(name: str, *arguments: str) -> str:
    """What a PostgreSQL client program printed; the password goes through its environment, never its arguments."""
    program = shutil.which(name)
    if program is None:
        raise BackupError(f"{name} is not installed. Install the PostgreSQL client of the server's version.")
    done = subprocess.run([program, *arguments], env=_tool_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line]
        raise BackupError(f"{name} failed: {lines[0] if lines else f'status {done.returncode}'}")
    return done.stdout


def _tool_environment() -> dict[str, str]:
    """What our own connection was given, as libpq's variables: the parts of the address, and what libpq itself finds in
    our environment, such as PGPASSWORD."""
    given: dict[str, Any] = connection.get_connection_params()
    known = {"PATH": os.defpath, "HOME": str(Path.home())}
    for option in pq.Conninfo.get_defaults():
        found = given.get(option.keyword.decode())
        value = str(found).encode() if found else option.val
        if option.envvar and value and value != option.compiled:
            known[option.envvar.decode()] = os.fsdecode(value)
    return known
