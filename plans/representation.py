"""Plans as the API shows them: eight queries, however many there are."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict, TypeVar, cast

from django.db.models import OuterRef, QuerySet, Subquery

from contract.clock import unix
from contract.naming.lookalikes import NameWarning
from plans import startable
from plans.fields import WAVE, Dependency, WaveShape
from plans.models import RecoveryPlan, RecoveryPlanQuerySet, Wave, WaveGroup, WaveServer
from plans.services import no_plan


class ServerConflict(TypedDict):
    serverId: str
    executionId: str
    planName: str
    status: str


class PlanShape(TypedDict):
    """A recovery plan, its last run, and what keeps it from being run now."""

    planId: str
    planName: str
    description: str
    rtoMinutes: int | None
    rpoMinutes: int | None
    waves: list[WaveShape]
    waveCount: int
    serverCount: int
    createdDate: int
    lastModifiedDate: int
    version: int
    lastExecutionId: str | None
    lastExecutionStatus: str | None
    lastStartTime: int | None
    lastEndTime: int | None
    activeExecutionId: str | None
    conflicts: list[ServerConflict]
    canExecute: bool
    blockedReason: str | None


class PlanAnswer(PlanShape):
    """One plan; with `warnings` when its name looks like that of another."""

    warnings: NotRequired[list[NameWarning]]


class PlansAnswer(TypedDict):
    """All plans that match."""

    plans: list[PlanShape]
    count: int


class PlanDeleted(TypedDict):
    planId: str
    message: str


class RunFacts(TypedDict):
    """What a plan tells of one of its runs."""

    pk: uuid.UUID
    status: str
    started_at: datetime
    ended_at: datetime | None
    started_by: str
    dry_run: bool


Keys = QuerySet[RecoveryPlan, Any]
_NAMES = [each.name for each in WAVE]


def show_plans(plans: RecoveryPlanQuerySet) -> list[PlanShape]:
    """These plans with their waves, their last run and whatever keeps them from being run."""
    runs = _runs().filter(plan=OuterRef("pk")).values("pk")
    found = plans.annotate(
        last_run=Subquery(runs.filter(dry_run=False).order_by("-started_at", "-pk")[:1]),
        active_run=Subquery(runs.filter(ended_at=None).order_by("dry_run", "pk")[:1]),
    )
    listed: list[Any] = list(found)
    keys = plans.order_by().values("pk")  # asked for again, for hundreds of ids cost more to send than to find
    waves = _waves(keys)
    facts = _facts({key for plan in listed for key in (plan.last_run, plan.active_run) if key})
    conflicts = _conflicts(keys)
    return [
        _show_plan(
            plan, waves[plan.pk], facts.get(plan.last_run), facts.get(plan.active_run), conflicts.get(plan.pk, [])
        )
        for plan in listed
    ]


def show_plan(plan_id: uuid.UUID) -> PlanShape:
    """The plan as it stands in the database now, or NotFound."""
    for shown in show_plans(RecoveryPlan.objects.filter(pk=plan_id)):
        return shown
    raise no_plan(plan_id)


def show_waves(plan_id: uuid.UUID) -> list[WaveShape]:
    """The waves of one plan; none of a plan that does not exist."""
    return _waves(RecoveryPlan.objects.filter(pk=plan_id).values("pk")).get(plan_id, [])


def _runs() -> Any:
    """Runs are asked for by name: they live above this room."""
    return RecoveryPlan._meta.get_field("executions").related_model._default_manager


def _facts(keys: Collection[uuid.UUID]) -> dict[uuid.UUID | None, RunFacts]:
    names = ("pk", "status", "started_at", "ended_at", "started_by", "dry_run")
    return {row["pk"]: row for row in _runs().filter(pk__in=keys).values(*names)}


def _conflicts(keys: Keys) -> Mapping[uuid.UUID, list[ServerConflict]]:
    """Servers of these plans that another plan's run holds."""
    rows = (
        WaveServer.objects.filter(plan__in=keys, assignment__hold__isnull=False)
        .order_by("plan", "wave__number", "position")
        .values_list(
            "plan_id",
            "assignment__source_server_id",
            "assignment__hold__execution__pk",
            "assignment__hold__execution__plan_id",
            "assignment__hold__execution__plan_name",
            "assignment__hold__execution__status",
        )
    )
    found: dict[uuid.UUID, list[ServerConflict]] = defaultdict(list)
    for plan_id, server_id, execution_id, holder_id, holder, status in rows:
        if holder_id != plan_id:
            found[plan_id].append(
                ServerConflict(serverId=server_id, executionId=str(execution_id), planName=holder, status=status)
            )
    return found


def _show_plan(
    plan: RecoveryPlan,
    waves: list[WaveShape],
    last: RunFacts | None,
    active: RunFacts | None,
    conflicts: list[ServerConflict],
) -> PlanShape:
    reason = _blocked_reason(plan, active, conflicts, has_waves=bool(waves))
    return PlanShape(
        planId=str(plan.pk),
        planName=plan.name,
        description=plan.description,
        rtoMinutes=plan.rto_minutes,
        rpoMinutes=plan.rpo_minutes,
        waves=waves,
        waveCount=len(waves),
        serverCount=sum(len(wave["serverIds"]) for wave in waves),
        createdDate=unix(plan.created_at),
        lastModifiedDate=unix(plan.updated_at),
        version=plan.version,
        lastExecutionId=str(last["pk"]) if last else None,
        lastExecutionStatus=last["status"] if last else None,
        lastStartTime=unix(last["started_at"]) if last else None,
        lastEndTime=unix(last["ended_at"]) if last else None,
        activeExecutionId=str(active["pk"]) if active else None,
        conflicts=conflicts,
        canExecute=reason is None,
        blockedReason=reason,
    )


def _blocked_reason(
    plan: RecoveryPlan, active: RunFacts | None, conflicts: Sequence[ServerConflict], *, has_waves: bool
) -> str | None:
    if not has_waves:
        return startable.no_waves(plan.name)
    if active is not None and not active["dry_run"]:
        return startable.is_running(plan.name, active["status"], active["started_by"])
    if conflicts:
        return startable.servers_held(len(conflicts), [each["planName"] for each in conflicts])
    return None


K = TypeVar("K")
V = TypeVar("V")


def _gathered(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _waves(plans: Keys) -> dict[uuid.UUID, list[WaveShape]]:
    """The waves of each plan in order. Tuples and not models, because a list holds thousands of them."""
    links = WaveGroup.objects.filter(wave__plan__in=plans).order_by("wave", "position")
    groups = _gathered(links.values_list("wave_id", "group_id"))
    members = WaveServer.objects.filter(plan__in=plans).order_by("wave", "position")
    placed = list(members.values_list("wave_id", "assignment__source_server_id", "optional"))
    servers = _gathered((wave, server) for wave, server, _ in placed)
    optional = _gathered((wave, server) for wave, server, is_optional in placed if is_optional)
    through = Wave.depends_on.through.objects.filter(from_wave__plan__in=plans).order_by("to_wave__number")
    needs = _gathered(through.values_list("from_wave_id", "to_wave__number"))
    rows = Wave.objects.filter(plan__in=plans).order_by("plan", "number")
    columns = [each.column for each in WAVE]
    return _gathered(
        (plan, _show_wave(number, values, [str(each) for each in groups[pk]], (servers[pk], optional[pk]), needs[pk]))
        for pk, plan, number, *values in rows.values_list("pk", "plan_id", "number", *columns)
    )


def _show_wave(
    number: int,
    values: Sequence[Any],
    groups: list[str],
    servers: tuple[list[str], list[str]],  # all of them, and those that are optional
    needs: list[int],
) -> WaveShape:
    shown = {
        "waveId": f"wave-{number}",
        "waveNumber": number,
        "executionOrder": number,
        "protectionGroupIds": groups,
        "protectionGroupId": groups[0] if groups else None,
        "serverIds": servers[0],
        "optionalServerIds": servers[1],
        "dependsOnWaves": needs,
        "dependencies": [Dependency(dependsOnWaveId=f"wave-{each}") for each in needs],
        **dict(zip(_NAMES, values, strict=True)),
    }
    return cast("WaveShape", {name: shown[name] for name in WaveShape.__annotations__})
