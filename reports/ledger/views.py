"""The ledger as a page, and its downloads."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.pages import HtmxHttpRequest, wants_fragment, whole_number
from contract.clock import db_clock
from contract.rights import as_id
from reports.ledger.api import DAYS_MAX, MAKERS, file_of
from reports.ledger.figures import DAYS, WINDOWS, ledger
from reports.ledger.record import record

SERVERS_SHOWN = 200  # of a plan; the files have all


@require_safe
def ledger_page(request: HtmxHttpRequest) -> HttpResponse:
    """Every plan with its last proof. The servers of one are within it once somebody opens it (`servers`)."""
    days = min(whole_number(request.GET.get("days")) or DAYS, DAYS_MAX)
    opened = as_id(request.GET.get("servers"))
    if opened and wants_fragment(request):
        plans = ledger(db_clock(), days, only=opened).plans
        if not plans:
            raise Http404
        return render(request, "reports/_ledger_servers.html", {"each": plans[0], "most": SERVERS_SHOWN})
    found = ledger(db_clock(), days)
    form = request.GET.get("format", "")
    if form in MAKERS:
        return file_of(record(found), form)
    context = {
        "ledger": found,
        "counts": [(proof, count) for proof, count in found.counts.items() if count],
        "coverage": list(found.coverage.items()),
        "windows": WINDOWS,
        "most": SERVERS_SHOWN,
        "opened": opened,
    }
    return render(request, "reports/ledger.html", context)
