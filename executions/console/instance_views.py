"""Left running: every recovery instance that is there, whoever launched it, and the question before some are ended."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.actor import Actor
from audit.request_actor import actor_for
from console.asked import cannot_find
from console.pages import HtmxHttpRequest, Question, go, wants_fragment
from contract.errors import DomainError
from contract.plurals import counted
from executions.commands.end_instances import MOST, Ended, end_instances
from executions.commands.standing import Standing, known_regions, seen_standing
from executions.console.forms import CommentForm, InstanceFilter

SHOWN = 500  # rows of the page; the API lists all


@require_safe
def instance_list(request: HtmxHttpRequest) -> HttpResponse:
    """What runs, the oldest first, with a box for each that this person may terminate; `?choose=drills` ticks those of
    drills, never of what may run production."""
    found = seen_standing(actor_for(request))
    form = InstanceFilter(request.GET, {each.account_id for each, _ in found})
    if account := form.chosen:
        found = [(each, here) for each, here in found if each.account_id == account]
    shown = [(each, _may_choose(here, each)) for each, here in found[:SHOWN]]
    drills = [each.recovery_instance_id for each, may in shown if may and each.is_drill][:MOST]
    cannot_find(request, "choose", ["drills"])
    chosen = drills if request.GET.get("choose") == "drills" else []
    costs = [each.monthly_cost for each, _ in found if each.monthly_cost is not None]
    context = {
        "form": form,
        "account": account,
        "rows": [(each, may, each.recovery_instance_id in set(chosen)) for each, may in shown],
        "may_some": any(may for _, may in shown),
        "drills": drills,
        "chosen": chosen,
        "total": len(found),
        "more": max(0, len(found) - SHOWN),
        "regions": [each for each in known_regions() if account in ("", each.account_id)],
        "cost": sum(costs) if costs else None,
        "unpriced": len(found) - len(costs),
    }
    template = "executions/_instances.html" if wants_fragment(request) else "executions/instance_list.html"
    return render(request, template, context)


def _may_choose(actor: Actor, each: Standing) -> bool:
    return bool(each.recovery_instance_id) and not (each.ending or each.run_under_way) and actor.may(each.right)


@require_http_methods(["GET", "HEAD", "POST"])
def instances_end(request: HtmxHttpRequest) -> HttpResponse:
    """Name each of the ticked ones, have their number typed, then have DRS terminate them."""
    actor, problem, error = actor_for(request), None, ""
    given = request.POST if request.method == "POST" else request.GET
    asked, account = given.getlist("instance"), given.get("account", "")
    filters = {"account": account} if account else {}  # of the list from which they were chosen
    ticked = [(each, here) for each, here in seen_standing(actor) if each.recovery_instance_id in set(asked)]
    found = ticked[:MOST]
    chosen = [each for each, _ in found]
    phrase = _phrase(chosen)
    may = bool(found) and all(here.may(each.right) for each, here in found)
    form = CommentForm(request.POST if "confirm" in request.POST else None)
    typed = request.POST.get("confirm", "")
    if "confirm" in request.POST and form.is_valid():
        if may and typed.strip().casefold() != phrase:
            error = f"Type “{phrase}” to confirm. Nothing was terminated."
        else:
            try:
                ids = [each.recovery_instance_id for each in chosen]
                done = end_instances(actor=actor, instance_ids=ids, comment=form.cleaned_data["comment"])
                messages.success(request, _told(done))
                for each in [*done.failed, *done.unknown]:
                    messages.error(request, f"{each.name}: {each.message}")
                return go(request, "", "instances", query=urlencode(filters))
            except DomainError as refusal:
                problem = refusal
    outside = any(each.execution_id is None for each in chosen)
    asked_about = {"chosen": chosen, "more": len(ticked) - len(found), "outside": outside, "phrase": phrase}
    back = reverse("instances", query=filters)
    context = {**asked_about, "account": account, "back": back}
    context |= {"may": may, "typed": typed, "error": error, "form": form}
    question = Question("executions/_end_instances.html", "Terminate instances", [("Left running", back)])
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)


def _told(done: Ended) -> str:
    """What became of the request, as far as it is known when the page is shown."""
    requested = counted(len(done.requested), "instance")
    requested = f"Termination of {requested} requested: an engine asks DRS within seconds, see below"
    said = (
        (done.requested, requested),
        (done.accepted, f"{counted(len(done.accepted), 'instance')} accepted by DRS for termination"),
        (done.already_gone, f"{counted(len(done.already_gone), 'instance')} already gone"),
    )
    return f"{'; '.join(text for each, text in said if each) or 'Nothing was requested'}."


def _phrase(chosen: list[Standing]) -> str:
    """What has to be typed; of what is not known to be a drill's it says what it may be."""
    production = any(not each.is_drill for each in chosen)
    return f"terminate {'production ' if production else ''}{len(chosen)}"
