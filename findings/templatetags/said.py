"""What people said of a run or a plan, for their pages."""

from django import template

from executions.models import Execution
from findings.counts import SaidOf, said_of_plan, said_of_run
from plans.models import RecoveryPlan

register = template.Library()


@register.simple_tag
def said_of(thing: Execution | RecoveryPlan) -> SaidOf:
    """Findings and sign-offs."""
    return said_of_run(thing) if isinstance(thing, Execution) else said_of_plan(thing)
