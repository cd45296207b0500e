"""The ledger as a page, and its downloads."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.pages import whole_number
from contract.clock import db_clock
from reports.ledger.api import DAYS_MAX, MAKERS, file_of
from reports.ledger.figures import DAYS, WINDOWS, ledger
from reports.ledger.record import record

SERVERS_SHOWN = 200  # of a plan; the files have all


@require_safe
def ledger_page(request: HttpRequest) -> HttpResponse:
    """Every plan with its last proof. Its servers are within it, folded."""
    asked = whole_number(request.GET.get("days")) or DAYS
    found = ledger(db_clock(), min(asked, DAYS_MAX))
    form = request.GET.get("format", "")
    if form in MAKERS:
        return file_of(record(found), form)
    context = {
        "ledger": found,
        "counts": [(proof, count) for proof, count in found.counts.items() if count],
        "coverage": list(found.coverage.items()),
        "windows": WINDOWS,
        "most": SERVERS_SHOWN,
    }
    return render(request, "reports/ledger.html", context)
