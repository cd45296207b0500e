"""`manage.py migrate`: Django's own, one at a time. Of any number of starts at once one migrates, the others wait."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

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
    def handle(self, *args: Any, **options: Any) -> None:
        with one_at_a_time(connections[options["database"]]):
            super().handle(*args, **options)
