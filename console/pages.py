"""What pages of every room share: fragments for htmx, paging, and the question before something is done."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from console.asked import cannot_use
from contract.errors import DomainError

Row = TypeVar("Row", bound=Model)

ROWS_A_PAGE = 50


class HtmxHttpRequest(HttpRequest):
    """A request behind django-htmx's middleware."""

    htmx: HtmxDetails


def is_background(request: HttpRequest) -> bool:
    """Whether a timer of the page asked, not a person."""
    return request.headers.get("X-Background") == "1"


def whole_number(text: str | None) -> int | None:
    """A number that a page has sent, of nine digits at most; None for anything else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def asked_number(request: HttpRequest, name: str, least: int, most: int = 999_999_999, instead: str = "") -> int | None:
    """The number that the address names; None without one, and for one that is not possible, which is told with what
    there is `instead`."""
    text = request.GET.get(name)
    number = whole_number(text)
    if text is None or (number is not None and least <= number <= most):
        return number
    wanted = f"{least:,}" if least == most else f"a whole number from {least:,} to {most:,}"
    cannot_use(request, name, f"{wanted} is expected.{instead}")
    return None


def known_revision(request: HttpRequest) -> int:
    """The revision that the page has; with an unreadable one everything is new to it."""
    return whole_number(request.GET.get("rev")) or 0


def wants_fragment(request: HtmxHttpRequest) -> bool:
    """Whether htmx asked for a part of the page; going back in the browser restores the whole."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def list_behind(request: HtmxHttpRequest, view: str) -> HtmxHttpRequest | None:
    """For a poll: the request for the list that lies open, as its address filters it; None on another page."""
    page = urlsplit(request.htmx.current_url_abs_path or "")
    if page.path != reverse(view):
        return None
    found = copy.copy(request)
    found.GET = QueryDict(page.query)
    return found


def page_of(rows: "QuerySet[Row]", request: HttpRequest, size: int = ROWS_A_PAGE) -> "Page[Row]":
    """The page that `?page=` names; an impossible number is the nearest page, which is told. Whoever loads more of a
    list that has become shorter is sent nothing: it has the nearest page."""
    pages = Paginator(rows, size)
    found = pages.get_page(request.GET.get("page"))
    number = asked_number(request, "page", 1, pages.num_pages, f" This is page {found.number}.")
    if number is None and request.headers.get("HX-Target") == "more":
        found.object_list = rows.none()
    return found


@dataclass(frozen=True)
class Question:
    """Asked in a dialog where htmx wants one, else on a page of its own. `trail` is (label, address) pairs."""

    fragment: str
    title: str
    trail: Sequence[tuple[str, str]] = ()

    def answer(
        self,
        request: HtmxHttpRequest,
        context: Mapping[str, Any],
        *,
        problem: DomainError | None = None,
        status: int = 200,
    ) -> HttpResponse:
        """The question, with why the last answer to it was refused."""
        template = self.fragment if wants_fragment(request) else "question.html"
        status = problem.status if problem else status
        return render(request, template, {**context, "question": self, "problem": problem}, status=status)


def go(request: HttpRequest, said: str, name: str, *args: object, query: str = "") -> HttpResponse:
    """To another page, which says what happened: by htmx out of a dialog, by redirect out of a page. `said` is empty
    where the view has told its messages itself."""
    if said:
        messages.success(request, said)
    address = reverse(name, args=args) + (f"?{query}" if query else "")
    return HttpResponseClientRedirect(address) if getattr(request, "htmx", False) else redirect(address)
