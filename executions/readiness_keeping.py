"""Keeps the readiness of every plan for lists: an engine weighs a few plans a round, so that no poll waits."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q

from executions.models import PlanReadiness
from executions.readiness_facts import readiness_of
from executions.states import Verdict
from plans.models import RecoveryPlan

PLANS_A_ROUND = 50
WEIGHED_EVERY = timedelta(minutes=2)
KEPT_REASONS = 5


def refresh(now: datetime) -> int:
    """Weigh the plans that were never weighed, were changed since, or not lately; answers how many."""
    stale = Q(readiness=None) | Q(readiness__checked_at__lt=now - WEIGHED_EVERY)
    due = RecoveryPlan.objects.filter(stale | ~Q(readiness__plan_version=F("version")))
    oldest = due.order_by(F("readiness__checked_at").asc(nulls_first=True), "pk")
    plans = dict(oldest.values_list("pk", "version")[:PLANS_A_ROUND])
    if not plans:
        return 0
    rows = [
        PlanReadiness(
            plan_id=plan,
            plan_version=plans[plan],
            verdict=found.verdict,
            reasons=[reason.text for reason in found.reasons[:KEPT_REASONS]],
            checked_at=now,
            expires_at=found.expires_at,
        )
        for plan, found in readiness_of(plans, now).items()
    ]
    try:
        with transaction.atomic():
            PlanReadiness.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=["plan"],
                update_fields=["plan_version", "verdict", "reasons", "checked_at", "expires_at"],
            )
    except IntegrityError:  # one of the plans was deleted meanwhile; the next round goes without it
        return 0
    return len(rows)


@dataclass(frozen=True)
class Overview:
    """How many plans have which verdict, best first, and the worst of those that are not ready."""

    counts: dict[Verdict, int]
    worst: list[tuple[RecoveryPlan, Verdict, str]]


def overview(now: datetime, rows: int) -> Overview:
    """What was last weighed; a verdict whose grounds are too old, or whose plan was changed since, is not known."""
    good = Q(readiness__expires_at__gt=now) & Q(readiness__plan_version=F("version"))
    known = RecoveryPlan.objects.filter(good)
    counts = Counter(dict(known.order_by().values_list("readiness__verdict").annotate(n=Count("pk"))))
    bad = known.filter(readiness__verdict=Verdict.NOT_READY).select_related("readiness").order_by("name_key")
    unknown = RecoveryPlan.objects.count() - sum(counts.values())
    return Overview(
        {each: counts[each.value] + (unknown if each is Verdict.UNKNOWN else 0) for each in Verdict},
        [(plan, Verdict.NOT_READY, plan.readiness.reasons[0]) for plan in bad[:rows]],
    )
