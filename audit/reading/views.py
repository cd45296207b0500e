"""Pages of the journal."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from audit.models import AuditEntry
from audit.reading.entries import matching, page_of
from audit.reading.forms import EntryFilter
from audit.reading.sentences import sentence, told
from console.asked import wanted_file
from console.tabs import sheet_address
from contract.rest.sheets import MOST, sheet

ENTRIES_A_PAGE = 50


class HtmxHttpRequest(HttpRequest):
    """A request behind django-htmx's middleware."""

    htmx: HtmxDetails


@require_safe
def entry_list(request: HtmxHttpRequest) -> HttpResponse:
    """The journal, newest first, filtered by what the address says; `after` is where the next rows begin."""
    form = EntryFilter(request)
    chosen = form.chosen()
    if wanted_file(request, ("csv",), form):
        return _sheet(matching(chosen))
    entries, token = page_of(matching(chosen), limit=ENTRIES_A_PAGE, token=request.GET.get("after") or None)
    filters = {name: request.GET[name] for name in chosen}
    more = urlencode({**filters, "after": token}) if token else ""
    context = {
        "form": form,
        "entries": told(entries),
        "more": more,
        "sheet": sheet_address(request),
        "is_filtered": bool(chosen),
    }
    is_part = bool(request.htmx) and not request.htmx.history_restore_request
    return render(request, "audit/_entries.html" if is_part else "audit/entry_list.html", context)


SHEET = ["entryId", "time", "actor", "actorKind", "verb", "words", "subjectKind", "subjectId", "subjectName", "outcome"]


def _sheet(entries: "QuerySet[AuditEntry]") -> HttpResponse:
    """The newest of the entries that the filters leave."""
    rows = [
        [
            *(each.pk, each.at, each.actor, each.actor_kind, each.verb, sentence(each)),
            *(each.subject_kind, each.subject_id, each.subject_name, each.outcome),
        ]
        for each in entries.order_by("-pk")[:MOST].iterator(chunk_size=200)
    ]
    return sheet("journal", SHEET, rows, timezone.now())


@require_safe
def entry_detail(request: HttpRequest, entry_id: int) -> HttpResponse:
    """One entry, with what was before and after."""
    entry = get_object_or_404(AuditEntry, pk=entry_id)
    context = {"entry": entry, "told": told([entry])[0], "changes": changes(entry), "details": _texts(entry.detail)}
    return render(request, "audit/entry_detail.html", context)


def changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """(field, before, after) of each field that differs."""
    before, after = entry.before or {}, entry.after or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [(name, _text(before.get(name)), _text(after.get(name))) for name in names]


def _texts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
