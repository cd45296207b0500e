"""Two runs side by side, and the choice of them."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.ticked import Ticked
from contract.clock import db_clock
from contract.errors import BadRequest, DomainError, Invalid
from executions.codes.ours import Code
from executions.models import Execution
from reports.comparing.choosing import offered, run_named
from reports.comparing.difference import Comparison
from reports.services import told


@require_http_methods(["GET", "HEAD", "POST"])
def compare_runs(request: HttpRequest) -> HttpResponse:
    """The two that the address names, or a form to name them; by POST, those that were ticked in a list. Who sees one
    of them alone is told that the other is not there."""
    if request.method == "POST":
        return _to_ticked(request)
    sees, typed = actor_for(request).sees, [request.GET.get("a", ""), request.GET.get("b", "")]
    runs: list[Execution] = []
    try:
        for each in filter(None, typed):
            runs.append(run_named(each, sees))  # noqa: PERF401  (what was found is shown beside the refusal)
        if len(runs) == 2:
            return _side_by_side(request, runs)
        problem = None
    except DomainError as refusal:
        problem = refusal
    named = [str(run.number or run.pk) for run in runs]
    return _form(request, [*named, *typed[len(named) :]], runs[0] if runs else None, problem)


def _to_ticked(request: HttpRequest) -> HttpResponse:
    """To the page of both, the older one first: lists are newest first. Of one that was ticked alone, to the choice of
    the second; of more than two the first two stand in the form."""
    ticked = Ticked.of(request, "run", 2)
    ids = [str(each) for each in reversed(ticked.ids)]
    if ids and not ticked.more:
        query = urlencode(dict(zip(("a", "b"), ids, strict=False)))
        return redirect(f"{reverse('compare-runs')}?{query}")
    told = f"You ticked {len(ids) + ticked.more}; the first two of them stand below." if ids else "You ticked none."
    sees = actor_for(request).sees
    typed = [str(run_named(each, sees).number or each) for each in ids]
    return _form(request, typed or ["", ""], None, Invalid({}, message=f"Two runs are compared at a time. {told}"))


def _form(
    request: HttpRequest, typed: Sequence[str], first: Execution | None, problem: DomainError | None
) -> HttpResponse:
    """What was typed for each, the runs to choose among, and why two cannot be shown."""
    offer = offered(actor_for(request).sees, first)
    context = {"typed": typed, "first": first, "offered": offer, "problem": problem}
    return render(request, "reports/choose_runs.html", context, status=problem.status if problem else 200)


def _side_by_side(request: HttpRequest, runs: Sequence[Execution]) -> HttpResponse:
    """Raises what a report raises: one is still running, which is named, or is being made."""
    for each in runs:
        if not each.state.is_final:
            state = each.state.label.lower()
            text = f"{each.called.capitalize()} of {each.plan_name} is {state}: it can be compared when it has ended."
            raise BadRequest(Code.EXECUTION_STILL_RUNNING, text, details={"status": each.status})
    now = db_clock()
    comparison = Comparison(*(told(each.pk, now) for each in runs))
    return render(
        request, "reports/comparison.html", {"runs": runs, "one": runs[0], "other": runs[1], "found": comparison}
    )
