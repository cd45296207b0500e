"""What is wrong with the database, in a sentence for people; engines go on by themselves once it works again."""

from django.db import DatabaseError, InterfaceError

from contract.errors import Unavailable

CODE = "DATABASE_UNAVAILABLE"
RETRY_SECONDS = 5
NOTHING_LOST = "What was saved before is safe, and engines go on by themselves once it works again."

# Words of SQLite and PostgreSQL, in the order in which they are looked for, and the sentence for each.
_CAUSES = (
    (
        ("disk is full", "no space left", "could not extend file"),
        "The database's disk is full, so nothing can be saved. Free space on it, or enlarge it.",
    ),
    (
        ("readonly database", "read-only transaction", "recovery is in progress"),
        "The database is read-only, so nothing can be saved.",
    ),
    (("no such table", "no such column"), "The database's tables are not up to date: run manage.py migrate."),
    (("database is locked",), "The database is busy with somebody else's change. Try again."),
)
_SILENT = "The database does not answer."
# Classes of SQLSTATE: no connection, out of resources, stopped by an operator, trouble with the system; and one code.
_STATES = ("08", "53", "57", "58", "25006")


def cause(error: BaseException) -> str:
    """The sentence for trouble of the database itself; empty for a mistake of ours."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return ""
    text = str(error).lower()
    for words, sentence in _CAUSES:
        if any(each in text for each in words):
            return sentence
    state = getattr(error.__cause__, "sqlstate", None) or ""
    is_lost = type(error).__name__ in ("OperationalError", "InterfaceError") and (
        not state or state.startswith(_STATES)
    )
    return _SILENT if is_lost or (state and state.startswith(_STATES)) else ""


def outage(error: BaseException) -> Unavailable | None:
    """The answer for a request that met trouble of the database itself; None for a mistake of ours."""
    sentence = cause(error)
    return Unavailable(CODE, f"{sentence} {NOTHING_LOST}", retry_after=RETRY_SECONDS) if sentence else None
