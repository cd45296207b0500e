"""What is wrong with the database, in a sentence for people; engines go on by themselves once it works again.

The one place that tells an outage, which nobody's request can help and everybody meets, from an error of one query,
which is a mistake of ours: SQLite and PostgreSQL raise OperationalError for both. Their codes decide, never their
words, and a code that is not listed here is no outage.
"""

import sqlite3

from django.db import DatabaseError, InterfaceError, OperationalError

from contract.errors import Unavailable

CODE = "DATABASE_UNAVAILABLE"
RETRY_SECONDS = 5
NOTHING_LOST = "Data saved earlier is safe, and engines continue by themselves once it works again."

_FULL = "The database's disk is full, so nothing can be saved. Free space on it, or enlarge it."
_READ_ONLY = "The database is read-only, so nothing can be saved."
_BUSY = "The database is busy with another change. Try again."
_FILE = "The database's file cannot be read or written."
_DAMAGED = "The database is damaged. Stop everything that uses it and restore a backup."
_SHORT = "The database is short of memory or connections."
_SILENT = "The database does not answer."

# What SQLite's names of errors begin with. SQLITE_ERROR, its code for any statement that it does not take, is not here.
_SQLITE = {
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_PROTOCOL": _BUSY,
    "SQLITE_IOERR": _FILE,
    "SQLITE_CANTOPEN": _FILE,
    "SQLITE_PERM": _FILE,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_NOMEM": _SHORT,
}
# What PostgreSQL's SQLSTATEs begin with. 54, a statement beyond its limits, is not here.
_POSTGRESQL = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "40001": _BUSY,
    "40P01": _BUSY,  # a deadlock: the other transaction goes on
    "55P03": _BUSY,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
    "53": _SHORT,
    "08": _SILENT,
    "25P03": _SILENT,  # it ended a connection that was idle too long
    "28": _SILENT,  # it lets nobody in by our name and password
    "3D": _SILENT,
    "57": _SILENT,  # stopped by an operator, or taking too long
    "58": _SILENT,
}
# An error that libpq has on this side of the connection carries no code; this one is of the query.
_OF_THE_QUERY = "number of parameters must be between"
# For errors that no database raised, such as Django's of a connection that is closed: words, and the sentence.
_WORDS = {"disk is full": _FULL, "no space left": _FULL}


def cause(error: BaseException) -> str:
    """The sentence for trouble of the database itself; empty for a mistake of ours."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return ""
    origin = error.__cause__
    if isinstance(origin, sqlite3.Error):
        return _listed(_SQLITE, getattr(origin, "sqlite_errorname", ""))
    if state := getattr(origin, "sqlstate", None):
        return _listed(_POSTGRESQL, state)
    if not isinstance(error, OperationalError | InterfaceError) or _OF_THE_QUERY in str(error):
        return ""
    text = str(error).lower()
    return next((sentence for words, sentence in _WORDS.items() if words in text), _SILENT)


def _listed(sentences: dict[str, str], code: str) -> str:
    return next((sentence for start, sentence in sentences.items() if code.startswith(start)), "")


def is_outage(error: BaseException) -> bool:
    """Whether everybody who asks the database now would meet this."""
    return bool(cause(error))


def outage(error: BaseException) -> Unavailable | None:
    """The answer for a request that met trouble of the database itself; None for a mistake of ours."""
    sentence = cause(error)
    return Unavailable(CODE, f"{sentence} {NOTHING_LOST}", retry_after=RETRY_SECONDS) if sentence else None
