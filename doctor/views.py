"""Settings → Check."""

from collections import Counter

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from doctor.api import ADMIN
from doctor.checks import Asked, findings
from doctor.findings import Level, worst_first
from plans.models import RecoveryPlan


@require_safe
def check_page(request: HttpRequest) -> HttpResponse:
    """Every check, what failed first. It asks AWS while somebody waits, as the command does."""
    ADMIN.require(request.user.has_perm)
    asked = Asked.read(region=request.GET.get("region", ""), plan=request.GET.get("plan", ""))
    found = list(worst_first(findings(asked)))
    counts = Counter(each.level for each in found)
    context = {
        "findings": found,
        "counts": dict(counts),
        "ok": not counts[Level.FAILED],
        "regions": asked.regions(),
        "asked": asked,
        "plans": RecoveryPlan.objects.order_by("name_key"),
    }
    return render(request, "doctor/check.html", context)
