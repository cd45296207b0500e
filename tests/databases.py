"""Test databases, which are copies of one that was migrated once: all migrations take as long as dozens of tests.

The original of SQLite is a file that stays from run to run, that of PostgreSQL a database that stays on its server. It
is made anew when anything of the product is another, or Django, or an app that has migrations: what they lead to.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

ORIGINALS = Path(__file__).resolve().parent.parent / ".pytest_cache" / "databases"
PREFIX = "drsorch_original_"
LOCK = 7_220_531_119  # any number that nobody else locks on a server of tests


@contextmanager
def own_database() -> Iterator[None]:
    """Django's connection leads to a database of its own that has everything but rows of a test."""
    before = connection.settings_dict["NAME"]
    name = connection.settings_dict["TEST"]["NAME"] or f"test_{before}"
    connection.close()
    if connection.vendor == "sqlite":
        _copy_file(Path(name))
    else:
        _copy_on_server(name)
    _lead_to(name)
    yield
    connection.creation.destroy_test_db(before, verbosity=0)


def _lead_to(name: str) -> None:
    connection.close()
    settings.DATABASES[connection.alias]["NAME"] = connection.settings_dict["NAME"] = name


def _migrate(name: str) -> None:
    _lead_to(name)
    call_command("migrate", verbosity=0, interactive=False)
    connection.close()  # nothing may be left in SQLite's log, and nobody may look at what PostgreSQL copies


def _copy_file(wanted: Path) -> None:
    ORIGINALS.mkdir(parents=True, exist_ok=True)
    original = ORIGINALS / f"{digest()}.sqlite3"
    with (ORIGINALS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            for old in ORIGINALS.glob("*.sqlite3*"):
                old.unlink()
            unfinished = original.with_suffix(".unfinished.sqlite3")
            _migrate(str(unfinished))
            unfinished.rename(original)
        shutil.copyfile(original, wanted)


def _copy_on_server(wanted: str) -> None:
    """Under a lock of the server; whoever ends lets it go."""
    quoted, original = connection.ops.quote_name, f"{PREFIX}{digest()}"
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"])
        found = [name for (name,) in cursor.fetchall()]
        if original not in found:
            unfinished = f"{original}_unfinished"
            for old in found:
                cursor.execute(f"DROP DATABASE {quoted(old)}")
            cursor.execute(f"CREATE DATABASE {quoted(unfinished)}")
            _migrate(unfinished)
            cursor.execute(f"ALTER DATABASE {quoted(unfinished)} RENAME TO {quoted(original)}")
        cursor.execute(f"DROP DATABASE IF EXISTS {quoted(wanted)}")
        cursor.execute(f"CREATE DATABASE {quoted(wanted)} TEMPLATE {quoted(original)}")
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def digest() -> str:
    """What decides how a migrated database looks, and more: migrations import from everywhere."""
    found = blake2b(repr(django.VERSION).encode(), digest_size=12)
    for app in apps.get_app_configs():
        is_ours = "site-packages" not in app.path
        for path in sorted(Path(app.path).rglob("*.py" if is_ours else "migrations/*.py")):
            found.update(f"{app.label} {path.name}\0".encode() + path.read_bytes())
    return found.hexdigest()
