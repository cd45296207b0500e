"""Questions, and changes, that are written as SQL once, and sent again and again with other values.

Of what a short statement costs, Django takes most to write it. What a poll asks every three seconds for everybody is
therefore written once in a process, and only its values are put in anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, cast

from django.db import connection
from django.db.models import Field, Model, QuerySet, Value
from django.db.models.expressions import Col
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=Model)
Row = tuple[Any, ...]
MOST_AMONG = 512  # values of a list in one statement


class Asked(Value):
    """The place of a value that is given each time, by the name of a field that takes such values."""

    def __init__(self, model: type[Model], name: str, called: str = "") -> None:
        """`called` is what the value is called where another value of the same field is given, too."""
        self.name = called or name
        self.like: Field[Any, Any] = cast("Field[Any, Any]", model._meta.get_field(name))
        super().__init__(name, self.like)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class _Statement:
    """What one kind of database is sent, and how its rows are read."""

    def __init__(self, asked: QuerySet[Any, Any]) -> None:
        compiler: Any = asked.query.get_compiler(connection=connection)
        self.sql, self._values = compiler.as_sql()
        columns = [each for each, *_ in compiler.select]
        # A column that has no value has none in Python either; what is computed may have one then.
        self._converters = [
            (at, how, of, isinstance(of, Col)) for at, (how, of) in compiler.get_converters(columns).items()
        ]
        self._names, self._fields, self._annotated = list[str](), slice(0), dict[str, int]()
        self._joined: Sequence[Any] = ()
        if asked.query.default_cols:  # it asks for models
            start, *_, end = compiler.klass_info["select_fields"]
            self._fields, self._annotated = slice(start, end + 1), compiler.annotation_col_map or {}
            self._names = [each.target.attname for each in columns[self._fields]]
            populators: Any = get_related_populators
            self._joined = populators(compiler.klass_info, compiler.select, connection.alias)
        self._model: type[Model] = asked.model

    def rows(self, values: Mapping[str, Any]) -> list[Row]:
        """As the database gives them."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _sent(self._values, values))
            found: list[Row] = cursor.fetchall()
            return found

    def read(self, row: Row) -> Row:
        """A row as Python has it."""
        found = list(row)
        for at, converters, of, is_column in self._converters:
            for convert in () if is_column and found[at] is None else converters:
                found[at] = convert(found[at], of, connection)
        return tuple(found)

    def model(self, row: Row) -> Any:
        made = self._model.from_db(connection.alias, self._names, row[self._fields])
        for name, at in self._annotated.items():
            setattr(made, name, row[at])
        for each in self._joined:
            each.populate(row, made)
        return made


def _sent(places: Iterable[Any], values: Mapping[str, Any]) -> list[Any]:
    """What is put in the places of a statement."""
    return [
        each.like.get_db_prep_value(values[each.name], connection) if isinstance(each, Asked) else each
        for each in places
    ]


class PreparedUpdate(Generic[M]):
    """A change that is written as SQL once: the rows that `make` finds are given values for these columns."""

    def __init__(self, make: "Callable[[], QuerySet[M, Any]]", *columns: str) -> None:
        self._make = make
        self._columns = columns
        self._statements: dict[str, tuple[str, Iterable[Any]]] = {}

    def run(self, **values: Any) -> int:
        """How many rows were changed."""
        if connection.vendor not in self._statements:
            found = self._make()
            changed: Any = found.query.chain(UpdateQuery)
            changed.add_update_values({name: Asked(found.model, name) for name in self._columns})
            self._statements[connection.vendor] = changed.get_compiler(connection=connection).as_sql()
        sql, places = self._statements[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(sql, _sent(places, values))
            return int(cursor.rowcount)


class Prepared(Generic[M]):
    """A question in which each value that changes is `Asked`: one value, no limit; PreparedAmong takes a list."""

    def __init__(self, make: "Callable[[], QuerySet[M, Any]]") -> None:
        """`make` is called when somebody asks first: by then the models are there, and the database is known."""
        self._make = make
        self._statements: dict[str, _Statement] = {}

    def rows(self, **values: Any) -> list[Row]:
        """The rows, of a question that asks for columns."""
        statement = self._statement()
        return [statement.read(row) for row in statement.rows(values)]

    def row(self, **values: Any) -> Row | None:
        return next(iter(self.rows(**values)), None)

    def unread(self, **values: Any) -> tuple[list[Row], Callable[[Row], Row]]:
        """The rows as the database gives them, and what reads one: for whoever knows most of them already."""
        statement = self._statement()
        return statement.rows(values), statement.read

    def objects(self, **values: Any) -> list[M]:
        """The models, with those that the question asks for beside them."""
        statement = self._statement()
        return [statement.model(statement.read(row)) for row in statement.rows(values)]

    def _statement(self) -> _Statement:
        kind = connection.vendor
        if kind not in self._statements:
            self._statements[kind] = _Statement(self._make())
        return self._statements[kind]


class PreparedAmong(Generic[M]):
    """The same with a list of values, of which `make` is given the places. Written once for 1, 2, 4, 8 … values; the
    last fills the places that are left. More than MOST_AMONG are asked for in parts, each in its own order."""

    def __init__(self, model: type[Model], name: str, make: "Callable[[list[Any]], QuerySet[M, Any]]") -> None:
        """`name` is a field of `model` that takes such values."""
        self._model, self._name, self._make = model, name, make
        self._prepared: dict[int, Prepared[M]] = {}

    def objects(self, among: Iterable[Any], **values: Any) -> list[M]:
        return [each for asked, given in self._parts(among) for each in asked.objects(**given, **values)]

    def rows(self, among: Iterable[Any], **values: Any) -> list[Row]:
        return [each for asked, given in self._parts(among) for each in asked.rows(**given, **values)]

    def _parts(self, among: Iterable[Any]) -> "Iterator[tuple[Prepared[M], dict[str, Any]]]":
        left = list(among)
        while left:
            part, left = left[:MOST_AMONG], left[MOST_AMONG:]
            size = 1 << (len(part) - 1).bit_length()
            if size not in self._prepared:
                places = [Asked(self._model, self._name, f"among {at}") for at in range(size)]
                self._prepared[size] = Prepared(partial(self._make, places))
            part += part[-1:] * (size - len(part))
            yield self._prepared[size], {f"among {at}": value for at, value in enumerate(part)}


def attach(owner: Model, relation: str, rows: Iterable[Model]) -> None:
    """Give a model those that belong to it, as prefetch_related does with what it has read."""
    given: Any = getattr(owner, relation).get_queryset()
    given._result_cache, given._prefetch_done = list(rows), True
    for each in given._result_cache:
        getattr(type(owner), relation).field.set_cached_value(each, owner)
    kept: Any = owner
    if not hasattr(kept, "_prefetched_objects_cache"):
        kept._prefetched_objects_cache = {}
    kept._prefetched_objects_cache[relation] = given
