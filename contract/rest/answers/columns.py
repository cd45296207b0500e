"""Columns as the API writes them, made by the database: in a list of thousands, an object of Python for each id and
each time costs more than all else that is done with them."""

from typing import Any

from django.db.models import Func, IntegerField, TextField
from django.db.models.sql.compiler import SQLCompiler

_Sql = tuple[str, Any]


class UnixSeconds(Func):
    """A time as whole Unix seconds, as `contract.clock.unix` makes them; null stays null."""

    output_field = IntegerField()
    # It is an int already: a call of Python for each row would cost as much again.
    convert_value = staticmethod(Func._convert_value_noop)  # type: ignore[attr-defined]  # which stubs do not know

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> _Sql:
        # Without the fraction, which SQLite would round.
        return self.as_sql(
            compiler, connection, template="CAST(strftime('%%%%s', substr(%(expressions)s, 1, 19)) AS INTEGER)"
        )

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> _Sql:
        return self.as_sql(compiler, connection, template="FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint")


class IdText(Func):
    """A UUID as text, with its hyphens; null stays null."""

    output_field = TextField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> _Sql:
        sql, params = compiler.compile(self.source_expressions[0])
        ends = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        parts = [f"substr({sql}, {begin}, {length})" for begin, length in ends]
        joined = " || '-' || ".join(parts)
        return f"({joined})", tuple(params) * len(parts)

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> _Sql:
        return self.as_sql(compiler, connection, template="(%(expressions)s)::text")
