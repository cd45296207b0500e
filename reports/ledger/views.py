"""The ledger as a page, and its downloads."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.asked import cannot_use, wanted_file
from console.pages import HtmxHttpRequest, page_of, wants_fragment
from contract.clock import db_clock
from contract.errors import Invalid
from contract.rights import as_id
from plans.forms import OfPlans
from plans.models import RecoveryPlan
from reports.ledger.api import MAKERS, file_of, read_days
from reports.ledger.figures import DAYS, WINDOWS, LedgerPlan, ledger, ledger_plans, of_plans, standing_of
from reports.ledger.record import record

SERVERS_SHOWN = 200  # of a plan; the files have all


@require_safe
def ledger_page(request: HtmxHttpRequest) -> HttpResponse:
    """Plans with their last proof, page by page. The servers of one are within it once somebody opens it
    (`servers`)."""
    days, now, form = _days(request), db_clock(), OfPlans(request.GET, label_suffix="")
    opened = _opened(request, days)
    if opened and wants_fragment(request):
        return render(request, "reports/_ledger_servers.html", {"each": opened, "most": SERVERS_SHOWN})
    account = form.cleaned_data.get("account", "") if form.is_valid() else ""
    if kind := wanted_file(request, MAKERS, form):
        return file_of(record(ledger(now, days, account)), kind)
    page = page_of(ledger_plans(account), request)
    if opened and opened.plan not in page:
        cannot_use(request, "servers", f"{opened.plan.name} is not among the plans that are shown here.")
    found = ledger(now, days, account, list(page))
    context = {
        "form": form,
        "account": account,
        "ledger": found,
        "page": page,
        "counts": [(proof, count) for proof, count in found.counts.items() if count],
        "coverage": list(found.coverage.items()),
        "windows": WINDOWS,
        "most": SERVERS_SHOWN,
        "opened": opened,
    }
    return render(request, "reports/ledger.html", context)


def _days(request: HttpRequest) -> int:
    try:
        return read_days(request.GET.get("days"))
    except Invalid as refusal:
        why = refusal.fields["days"][0]
        cannot_use(request, "days", f"{why[0].lower()}{why[1:]} Here a launch counts for {DAYS} days.")
        return DAYS


def _opened(request: HtmxHttpRequest, days: int) -> LedgerPlan | None:
    """The plan whose servers somebody wants to see. Raises Http404 where they alone are asked for and it is not
    there."""
    if "servers" not in request.GET:
        return None
    asked: uuid.UUID | None = as_id(request.GET["servers"])
    plan = RecoveryPlan.objects.filter(pk=asked).first() if asked else None
    if plan:
        return of_plans([plan], standing_of([plan.pk], db_clock(), days), with_servers=True)[0]
    if wants_fragment(request):
        raise Http404
    cannot_use(request, "servers", "there is no such plan.")
    return None
