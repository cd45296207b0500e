"""The tabs above a list: what kinds there are in it, how many of each, and where each leads."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest


@dataclass(frozen=True)
class Kind:
    """A kind of what a list shows: the filter's value that shows it alone, empty for all. `at_least`: there may be
    more."""

    value: str
    label: str
    count: int
    at_least: bool = False


@dataclass(frozen=True)
class Tab:
    """One tab. `address` keeps every other filter."""

    kind: Kind
    address: str
    is_current: bool


def tabs(request: HttpRequest, name: str, kinds: Iterable[Kind], chosen: str) -> list[Tab]:
    """Of the values of the filter `name`; kinds that have nothing are left out, unless they are what is looked at."""
    shown = (each for each in kinds if each.count or each.at_least or each.value in ("", chosen))
    return [Tab(each, _with(request, name, each.value), each.value == chosen) for each in shown]


def _with(request: HttpRequest, name: str, value: str) -> str:
    """The query string with another value of a filter; the first page of it."""
    query = request.GET.copy()
    for gone in (name, "page", "after", "format"):
        query.pop(gone, None)
    if value:
        query[name] = value
    return f"?{query.urlencode()}"


def sheet_address(request: HttpRequest) -> str:
    """Where the list that is shown is to be had as a file."""
    query = request.GET.copy()
    for gone in ("page", "after"):
        query.pop(gone, None)
    query["format"] = "csv"
    return f"?{query.urlencode()}"
