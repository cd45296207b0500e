"""The drills of a plan that wait for a person, for its page."""

from collections.abc import Sequence

from django import template

from audit.request_actor import actor_for
from contract.clock import db_clock
from drill_requests.models import DrillRequest
from drill_requests.services import open_ones
from plans.models import RecoveryPlan

register = template.Library()


@register.simple_tag(takes_context=True)
def drill_requests(context: template.RequestContext, plan: RecoveryPlan) -> Sequence[DrillRequest]:
    """Those of one plan."""
    return list(open_ones(actor_for(context["request"]).sees, db_clock()).filter(plan=plan))
