"""A label of several plans at once."""

import uuid
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from audit.actor import Actor
from audit.request_actor import actor_for
from console.labeling import Labeled, Labeling
from console.pages import HtmxHttpRequest
from contract.labels.rows import labels_of
from contract.labels.rules import Label
from contract.rights import ANYTHING, not_allowed
from plans import services
from plans.models import RecoveryPlan
from plans.scopes.plans import things_of


@require_http_methods(["GET", "HEAD", "POST"])
def plans_label(request: HtmxHttpRequest) -> HttpResponse:
    """Say which of the ticked plans can be changed, then set or remove a label of each."""
    actor = actor_for(request)
    actor.at(ANYTHING).require(services.CHANGE, services.TO_CHANGE)
    labeling = _labeling(request)
    ticked = labeling.ticked(request)
    return labeling.answer(request, ticked, _things(actor, ticked.ids))


def _labeling(request: HttpRequest) -> Labeling:
    def save(each: Labeled, labels: Sequence[Label]) -> object:
        actor = actor_for(request)
        return services.update_plan(actor=actor, plan_id=each.pk, labels=labels, expected={each.version})

    return Labeling("plan", "plans", "label-plans", "plan", "Recovery plans", save)


def _things(actor: Actor, ids: Sequence[uuid.UUID]) -> list[Labeled]:
    plans = list(RecoveryPlan.objects.seen_by(actor.sees).filter(pk__in=ids).prefetch_related("labels"))
    things = things_of([each.pk for each in plans]) if actor.is_bounded else {}
    found = []
    for plan in plans:
        active = services.active_use(plan, "changed")
        may = actor.at(things.get(plan.pk)).may(services.CHANGE)
        against = "" if may else not_allowed(services.CHANGE, services.TO_CHANGE).message
        against = against or (active.message if active else "")
        found.append(Labeled(plan.pk, plan.name, labels_of(plan), plan.version, against))
    return found
