"""Lists that are sorted by a column: by which, the address says, so that paging, polls and files keep it.

The head of a column is a link. What a column has nothing of counts as the least; rows that are alike stand in the
list's own order, so that the order is always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Expression, F, Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.functional import cached_property

from console.asked import cannot_use
from contract.errors import Invalid
from contract.rights import as_id

Row = TypeVar("Row", bound=Model)
Rows = TypeVar("Rows", bound="QuerySet[Any]")

SORT = "sort"
CALLED_MAX = 40
PLACE = "sorted_by"


@dataclass(frozen=True)
class Column:
    """A column of a list. `by` is what it is sorted by, under `name` in the address; without it nobody sorts by it.
    `newest` columns begin with the most, or the latest, when their head is followed."""

    label: str
    name: str = ""
    by: str | Expression | Combinable = ""
    newest: bool = False
    kind: str = ""  # the class of its head
    unseen: bool = False  # told only to those who do not see the page


@dataclass(frozen=True)
class Head:
    """The head of a column: where it leads, and how the list is sorted by it now, in ARIA's word."""

    column: Column
    address: str
    sorted: str


class Sorting:
    """How a list is sorted: by the column that the address names, else as the list is by itself.

    `default` is the name of the column that this is, with a minus if it goes down; `then` the order of what is alike,
    in which no two rows are.
    """

    def __init__(self, request: HttpRequest, columns: Sequence[Column], default: str, then: Sequence[Any]) -> None:
        self.request, self.columns, self.default, self.then = request, columns, default, then
        known = {f"{sign}{each.name}" for each in columns if each.name for sign in ("", "-")}
        asked = request.GET.get(SORT, "")
        self.chosen = asked if asked in known else default
        if asked and asked not in known:
            cannot_use(request, SORT, f"no column is called “{asked[:CALLED_MAX]}”. The list is in its usual order.")

    @property
    def is_default(self) -> bool:
        return self.chosen == self.default

    @property
    def parameter(self) -> dict[str, str]:
        """What the address of this list's next rows has to say of it."""
        return {} if self.is_default else {SORT: self.chosen}

    @property
    def goes_down(self) -> bool:
        return self.chosen.startswith("-")

    @cached_property
    def column(self) -> Column:
        return next(each for each in self.columns if each.name == self.chosen.lstrip("-"))

    def sorted(self, rows: Rows) -> Rows:
        """These rows in that order."""
        place = F(PLACE)
        first = place.desc(nulls_last=True) if self.goes_down else place.asc(nulls_first=True)
        return rows.annotate(**{PLACE: self._by}).order_by(first, *self.then)

    @property
    def _by(self) -> Any:
        return F(self.column.by) if isinstance(self.column.by, str) else self.column.by

    def heads(self) -> list[Head]:
        return [Head(each, self._address(each), self._told(each)) for each in self.columns]

    def _told(self, column: Column) -> str:
        if not column.name or column is not self.column:
            return ""
        return "descending" if self.goes_down else "ascending"

    def _address(self, column: Column) -> str:
        if not column.name:
            return ""
        down = not self.goes_down if column is self.column else column.newest
        query = self.request.GET.copy()
        for gone in ("page", "after", "format"):
            query.pop(gone, None)
        query[SORT] = f"-{column.name}" if down else column.name
        return f"?{query.urlencode()}"


def rows_behind(rows: "QuerySet[Row]", sorting: Sorting, after: str | None, limit: int) -> tuple[list[Row], str | None]:
    """One page of rows, and the id of its last row, behind which the next page begins, or None. By ids and not by
    numbers of pages: of a list that grows at its head meanwhile no row comes twice. The columns must have something in
    every row, and the list's own order be downwards, by names of columns. Raises Invalid for what is no id there."""
    listed = sorting.sorted(rows)
    if after is not None:
        listed = listed.filter(_behind(listed, sorting, after))
    found = list(listed[: limit + 1])
    return (found, None) if len(found) <= limit else (found[:limit], str(found[limit - 1].pk))


def _behind(listed: "QuerySet[Row]", sorting: Sorting, after: str) -> Q:
    names = [each.lstrip("-") for each in sorting.then]
    everywhere = listed.model._default_manager.annotate(**{PLACE: sorting._by})  # also where it left the list meanwhile
    last = everywhere.filter(pk=as_id(after)).values_list(PLACE, *names).first()
    if last is None:
        raise Invalid({"after": ["Not a place in this list. Start again without one."]})
    place, *rest = last
    found, same = Q(**{f"{PLACE}__{'lt' if sorting.goes_down else 'gt'}": place}), Q(**{PLACE: place})
    for name, value in zip(names, rest, strict=True):
        found |= same & Q(**{f"{name}__lt": value})
        same &= Q(**{name: value})
    return found
