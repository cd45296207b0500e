"""Recovery plans as lists show them. Questions about their runs are asked through the plan's reverse names."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, cast

from django.db.models import Count, OuterRef, Subquery
from django.utils import timezone

from audit.actor import Actor
from contract.clock import db_clock
from contract.rights import Thing
from contract.status import Status
from plans import startable
from plans.models import RecoveryPlan, Wave, WaveServer
from plans.scopes.plans import things_of
from protection.inventory.native_runs import running_anywhere


class Run(Protocol):
    """What lists of plans show of an execution; this room does not know more of it."""

    pk: uuid.UUID
    plan_id: uuid.UUID | None
    started_at: datetime
    started_by: str
    kind: str
    status: str
    ended_at: datetime | None


@dataclass(frozen=True)
class Holder:
    """A run that has servers of a plan: whose, how far it is, and how many it has."""

    pk: uuid.UUID
    plan_name: str
    status: str
    servers: int


@dataclass(frozen=True)
class PlanRow:
    """A plan as lists show it, with why it cannot be started now."""

    plan: RecoveryPlan
    waves: int
    servers: int
    last: Run | None
    active: Run | None
    holders: Sequence[Holder]
    thing: Thing | None = None  # as rights are asked for it, where somebody’s depend on that
    by_drs: Sequence[str] = ()  # what DRS runs by itself, in words, of each server that such a run has
    drilled: Run | None = None  # its last drill that completed, where lists show that

    @property
    def verdict(self) -> Status | None:
        """Whether a run would work, as an engine last weighed it; None once that is too old, or the plan is another."""
        kept = getattr(self.plan, "readiness", None)
        if kept is None or kept.plan_version != self.plan.version:
            return None
        state: Status = kept.state
        return state if kept.expires_at is not None and kept.expires_at > timezone.now() else None

    @property
    def blocked(self) -> str:
        """Why it cannot be started now, as a sentence; empty when it can."""
        if self.no_waves:
            return self.no_waves
        if self.active is not None:
            return startable.is_running(self.plan.name, self.active.status, self.active.started_by)
        if self.holders:
            names = [each.plan_name for each in self.holders]
            return startable.servers_held(sum(each.servers for each in self.holders), names)
        return startable.servers_held_by_drs(len(self.by_drs), self.by_drs) if self.by_drs else ""

    @property
    def holder(self) -> Holder | None:
        return next(iter(self.holders), None)

    @property
    def no_waves(self) -> str:
        """Why not even a dry run of it can be started."""
        return "" if self.waves else startable.no_waves(self.plan.name)

    @property
    def blocked_by(self) -> uuid.UUID | None:
        """The run that is in the way, for a link to it."""
        run = self.active or self.holder
        return run.pk if run else None


def plan_rows(plans: Sequence[RecoveryPlan], actor: Actor) -> list[PlanRow]:
    """Plans with their last and active runs, as `actor` sees them, in a fixed number of queries."""
    ids = [plan.pk for plan in plans]
    things = things_of(ids) if actor.is_bounded else {}
    waves = _count(Wave.objects.filter(plan__in=ids).order_by().values_list("plan_id").annotate(Count("pk")))
    servers = _count(WaveServer.objects.filter(plan__in=ids).order_by().values_list("plan_id").annotate(Count("pk")))
    held = WaveServer.objects.filter(plan__in=ids, assignment__hold__isnull=False)
    run = "assignment__hold__execution"
    columns = ("plan_id", run, f"{run}__plan_name", f"{run}__status")
    counted = held.values(*columns).annotate(servers_held=Count("pk")).order_by(run)
    holders: dict[uuid.UUID, list[Holder]] = defaultdict(list)
    for plan, pk, name, status, count in counted.values_list(*columns, "servers_held"):
        holders[plan].append(Holder(pk, name, status, count))
    active, last = _runs(ids)
    by_drs = _by_drs(ids)
    return [
        PlanRow(
            plan,
            waves.get(plan.pk, 0),
            servers.get(plan.pk, 0),
            last.get(plan.pk),
            active.get(plan.pk),
            holders.get(plan.pk, ()),
            things.get(plan.pk),
            by_drs.get(plan.pk, ()),
        )
        for plan in plans
    ]


def _by_drs(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """What DRS's own recovery plans have of these plans' servers. One query while they do not run."""
    found: dict[uuid.UUID, list[str]] = defaultdict(list)
    if runs := running_anywhere(db_clock()):
        rows = WaveServer.objects.filter(plan__in=ids, assignment__source_server_id__in=list(runs)).order_by()
        for plan, server in rows.values_list("plan_id", "assignment__source_server_id"):
            found[plan].append(runs[server].words)
    return found


def _count(rows: Iterable[tuple[uuid.UUID, int]]) -> dict[uuid.UUID, int]:
    return dict(rows)


def _runs(ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, Run], dict[uuid.UUID, Run]]:
    """The active and the last run of each plan, each found through the plan's index, not by reading the history."""
    real = RecoveryPlan.objects.filter(pk=OuterRef("pk"), executions__dry_run=False)
    newest = real.order_by("-executions__started_at", "-executions__pk")
    last_ids = (
        RecoveryPlan.objects.filter(pk__in=ids)
        .order_by()
        .annotate(last_run=Subquery(newest.values("executions__pk")[:1]))
        .values("last_run")
    )
    active = _by_plan(plan__in=ids, ended_at=None, dry_run=False)
    return active, _by_plan(pk__in=[row["last_run"] for row in last_ids])


def with_drills(rows: Sequence[PlanRow]) -> list[PlanRow]:
    """The same with the last drill of each that completed, found through the index by outcome."""
    plans = RecoveryPlan.objects.filter(pk__in=[row.plan.pk for row in rows]).order_by()
    good = RecoveryPlan.objects.filter(
        pk=OuterRef("pk"), executions__kind="DRILL", executions__status="COMPLETED", executions__dry_run=False
    ).order_by("-executions__started_at")
    last = plans.values_list(Subquery(good.values("executions__pk")[:1]), flat=True)
    drilled = _by_plan(pk__in=[each for each in last if each])
    return [replace(row, drilled=drilled.get(row.plan.pk)) for row in rows]


def _by_plan(**wanted: object) -> dict[uuid.UUID, Run]:
    model = RecoveryPlan._meta.get_field("executions").related_model
    runs = cast("Iterable[Run]", model._default_manager.filter(**wanted))
    return {run.plan_id: run for run in runs if run.plan_id}
