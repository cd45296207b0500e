"""Statements that the database itself refuses, each for an error of the statement: real ones, of SQLite and PostgreSQL.

A statement beyond the database's limits is an OperationalError of both drivers, as a lost connection is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

SQLITE = {
    "too deep": f"SELECT 1 WHERE {' OR '.join(['1 = 2'] * 1100)}",
    "too many variables": f"SELECT ?{10**6}",
    "too many columns": f"SELECT {', '.join(['1'] * 2100)}",
    "no such table": "SELECT 1 FROM nowhere",
    "no such column": "SELECT nothing FROM executions_execution",
    "no such function": "SELECT nothing(1)",
    "syntax": "SELEC 1",
}
POSTGRESQL = {
    "too deep": f"SELECT {'+'.join(['1'] * 50_000)}",
    "too many columns": f"SELECT {', '.join(['1'] * 1700)}",
    "no such table": "SELECT 1 FROM nowhere",
    "no such column": "SELECT nothing FROM executions_execution",
    "no such function": "SELECT nothing(1)",
    "syntax": "SELEC 1",
    "no number": "SELECT 1 / 0",
    "no date": "SELECT 'yesterday week'::date",
}


def wrong_queries() -> dict[str, str]:
    """By what is wrong with them."""
    return SQLITE if connection.vendor == "sqlite" else POSTGRESQL


@contextmanager
def spoiled(which: Callable[[str, Any], bool], wrong: str = "too deep") -> Iterator[list[str]]:
    """Statements that `which` picks, by their text and parameters, are more than the database takes; yields those."""
    met: list[str] = []

    def spoil(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not which(sql, params):
            return execute(sql, params, many, context)
        met.append(sql)
        return execute(wrong_queries()[wrong], None, False, context)

    with connection.execute_wrapper(spoil):
        yield met
