"""`manage.py migrate`: Django's own, one at a time. Of any number of starts at once one migrates, the others wait.
With `--wait`, a database that is later than we are at boot is waited for, too."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

PAUSE_SECONDS = 2.0
LOCK = 7_220_531_118  # any number that nobody else locks in this database


@contextmanager
def one_at_a_time(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait until nobody else migrates this database. The lock ends with its process, however that ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        return
    # SQLite's own lock lasts for one migration, but what is to be done must be read and done under one.
    with Path(f"{connection.settings_dict['NAME']}.migrating").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait",
            type=int,
            default=0,
            metavar="SECONDS",
            help="how long to wait for a database that does not answer",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._wait_for(connections[options["database"]], options.pop("wait"))  # before the checks, which ask it, too
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        with one_at_a_time(connections[options["database"]]):
            super().handle(*args, **options)

    def _wait_for(self, connection: BaseDatabaseWrapper, patience: int) -> None:
        """Until it answers, saying each time why not: waiting does not help against a wrong password."""
        end = time.monotonic() + patience
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                if time.monotonic() >= end:
                    raise
                self.stderr.write(f"The database does not answer yet: {' '.join(str(error).split())}")
            time.sleep(PAUSE_SECONDS)
