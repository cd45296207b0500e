"""Keeps the readiness of every plan for lists: an engine weighs a few plans a round, so that no poll waits.

What is kept says nothing of the plan's own run nor of the engine: lists read both live, and it would be untrue as soon
as the run ends or the engine dies.
"""

import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, F, OuterRef, Q

from executions.codes.readiness import Against
from executions.models import Execution, PlanReadiness
from executions.readiness.assessment import assess
from executions.readiness.facts import believed_for, facts_of
from executions.readiness.terms import Readiness
from executions.states import Verdict
from plans.models import RecoveryPlan, WaveServer
from protection.models import RegionInventory, SourceServer

PLANS_A_ROUND = 50
WEIGHED_EVERY = timedelta(minutes=2)
SETTLING = timedelta(seconds=10)  # a start or an end may be committed so long after its own time
KEPT_REASONS = 5


def refresh(now: datetime) -> int:
    """Weigh the plans that were never weighed, were changed or run since, or not lately; answers how many."""
    stale = Q(readiness=None) | Q(readiness__checked_at__lt=now - WEIGHED_EVERY)
    changed = ~Q(readiness__plan_version=F("version"))
    due = RecoveryPlan.objects.filter(stale | changed | _run_since(now) | _learned_since())
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
        for plan, found in _weighed(plans, now).items()
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


def _run_since(now: datetime) -> Q:
    """The plans that share a server with a run that started or ended since they were weighed. One query when none."""
    since = now - WEIGHED_EVERY
    recent = Execution.objects.filter(Q(started_at__gte=since) | Q(ended_at__gte=since), dry_run=False)
    moved = list(recent.exclude(plan=None).order_by().values_list("plan_id", "started_at", "ended_at"))
    if not moved:
        return Q()
    last = max(ended_at or started_at for _, started_at, ended_at in moved)
    servers = WaveServer.objects.filter(plan__in=[plan for plan, *_ in moved]).values("assignment")
    sharing = WaveServer.objects.filter(assignment__in=servers).values("plan")
    return Q(pk__in=sharing, readiness__checked_at__lt=last + SETTLING)


def _learned_since() -> Q:
    """The plans of which too little was known, where servers of theirs, or a region, have been read since."""
    members = WaveServer.objects.filter(plan=OuterRef(OuterRef("pk"))).values("assignment__source_server_id")
    read = SourceServer.objects.filter(details_as_of__gt=OuterRef("readiness__checked_at"), pk__in=members)
    regions = RegionInventory.objects.filter(jobs_as_of__gt=OuterRef("readiness__checked_at"))
    return Q(Exists(read) | Exists(regions), readiness__verdict=Verdict.UNKNOWN)


def _weighed(plans: Collection[uuid.UUID], now: datetime) -> dict[uuid.UUID, Readiness]:
    believed = believed_for()
    kept = (replace(facts, active_status="", engine_alive=True) for facts in facts_of(plans))
    return {facts.plan_id: assess(facts, now, believed) for facts in kept}


@dataclass(frozen=True)
class Overview:
    """How many plans run, how many of the others have which verdict, best first, and the worst that are not ready.

    `against` is what stands against every one of them.
    """

    running: int
    counts: dict[Verdict, int]
    worst: list[tuple[RecoveryPlan, Verdict, str]]
    against: str = ""

    @property
    def total(self) -> int:
        return self.running + sum(self.counts.values())


def overview(now: datetime, rows: int, *, engine_alive: bool) -> Overview:
    """What was last weighed; a verdict whose grounds are too old, or whose plan was changed since, is not known, and
    without an engine none is ready, whatever was weighed while one ran."""
    active = Execution.objects.active().filter(dry_run=False, plan__isnull=False)
    running = list(active.order_by().values_list("plan_id", flat=True))
    others = RecoveryPlan.objects.exclude(pk__in=running)
    if not engine_alive:
        counts = {each: others.count() if each is Verdict.NOT_READY else 0 for each in Verdict}
        return Overview(len(running), counts, [], str(Against.ENGINE_NOT_ALIVE.explanation))
    known = others.filter(readiness__expires_at__gt=now, readiness__plan_version=F("version"))
    weighed = Counter(dict(known.order_by().values_list("readiness__verdict").annotate(n=Count("pk"))))
    bad = known.filter(readiness__verdict=Verdict.NOT_READY).select_related("readiness").order_by("name_key")
    unknown = others.count() - sum(weighed.values())
    return Overview(
        len(running),
        {each: weighed[each.value] + (unknown if each is Verdict.UNKNOWN else 0) for each in Verdict},
        [(plan, Verdict.NOT_READY, plan.readiness.reasons[0]) for plan in bad[:rows]],
    )
