"""A connection to SQLite that is kept between requests, and given up once another file is in the database's place.

To open one costs a quarter of a small request. But a kept one would go on with the old file, and show it as true, when
somebody has moved that away and put a copy in its place.
"""

from pathlib import Path
from typing import Any

from django.core.signals import got_request_exception, request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

File = tuple[int, int]
_NONE: File = (0, 0)


def watch() -> None:
    """Have each request look whether the file is the one that was opened."""
    connection_created.connect(_note, dispatch_uid="note the file")
    request_started.connect(give_up_replaced, dispatch_uid="give up a file that was replaced")
    got_request_exception.connect(_keep_none, dispatch_uid="keep nothing after a failure")


def give_up_replaced(**_: Any) -> None:
    """Close what belongs to a file that is no longer there; whoever asks next opens the one that is."""
    for connection in connections.all(initialized_only=True):
        opened = vars(connection).get("opened_file")
        if opened is not None and connection.connection is not None and opened != _file_of(connection):
            connection.close()


def _keep_none(**_: Any) -> None:
    """What failed may have left a question half read, and then all that is asked after it shows the same moment."""
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "sqlite":
            connection.close_at = 0  # when the request ends


def _note(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        vars(connection)["opened_file"] = _file_of(connection)


def _file_of(connection: BaseDatabaseWrapper) -> File:
    try:
        found = Path(connection.settings_dict["NAME"]).stat()
    except OSError:
        return _NONE
    return found.st_dev, found.st_ino
