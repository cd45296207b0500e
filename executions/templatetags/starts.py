"""Whether the reader of a page can start a plan, for its buttons."""

from django import template
from django.http import HttpRequest

from audit.request_actor import actor_for
from executions.runs.allowed.starts import Starts, starts_of
from plans.views import PlanRow

register = template.Library()


@register.simple_tag(takes_context=True)
def starts(context: template.RequestContext, row: PlanRow) -> Starts:
    """What whoever reads this page can start of the plan of `row`."""
    request: HttpRequest = context["request"]
    actor = actor_for(request)
    if actor.is_bounded:
        actor = actor.at(row.thing)
    return starts_of(actor, no_waves=row.no_waves, blocked=row.blocked)
