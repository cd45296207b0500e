"""Plans as the API shows them: ten queries, however many there are."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NotRequired, TypedDict, TypeVar, cast

from django.db.models import F, IntegerField, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from contract.clock import db_clock
from contract.naming.lookalikes import NameWarning
from contract.rest.answers.columns import IdText, UnixSeconds
from contract.rest.answers.ready import KeptParts
from contract.rest.answers.selection import selected
from plans import startable
from plans.fields import WAVE, Dependency, WaveShape
from plans.gates import GateShape
from plans.models import PlanLabel, RecoveryPlan, RecoveryPlanQuerySet, Wave, WaveGroup, WaveServer
from plans.scopes.plans import no_plan
from protection.inventory.native_runs import NativeRun, running_anywhere


class ServerConflict(TypedDict):
    """A server that a run has; `native` where that is an execution of a recovery plan of DRS, then without an id."""

    serverId: str
    executionId: str | None
    planName: str
    status: str
    native: NotRequired[bool]


class PlanShape(TypedDict):
    """A recovery plan, its last run, and what keeps it from being run now."""

    planId: str
    planName: str
    description: str
    rtoMinutes: int | None
    rpoMinutes: int | None
    drillLeaseHours: int | None
    drillLeaseEnds: str
    labels: dict[str, str]
    startGate: GateShape | None
    mirrorToDrs: bool
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


FIELDS = frozenset(PlanShape.__annotations__)


class PlanAnswer(PlanShape):
    """One plan; with `warnings` when its name looks like that of another."""

    warnings: NotRequired[list[NameWarning]]


class PlansAnswer(TypedDict):
    """All plans that match, or with `limit` some and the token of the next; with `fields` only those of each."""

    plans: list[PlanShape]
    count: int
    nextToken: NotRequired[str | None]


class PlanDeleted(TypedDict):
    planId: str
    message: str


class RunFacts(NamedTuple):
    """What a plan tells of one of its runs."""

    shown_id: str
    status: str
    started: int
    ended: int | None
    started_by: str
    dry_run: bool


class PlanRow(NamedTuple):
    """What is shown of a plan itself, as the API writes it. `key` is the id as the database's text: no reader's."""

    key: str
    shown_id: str
    name: str
    description: str
    rto_minutes: int | None
    rpo_minutes: int | None
    drill_lease_hours: int | None
    drill_lease_ends: str
    start_gate: GateShape | None
    mirror_to_drs: bool
    created: int
    updated: int
    version: int
    last_run: str | None
    active_run: str | None


Keys = QuerySet[RecoveryPlan, Any]
_NAMES = [each.name for each in WAVE]


class WaveRow(NamedTuple):
    """What is shown of a wave, as it is read."""

    number: int
    values: tuple[Any, ...]
    groups: list[str]
    servers: list[str]
    optional: list[str]
    needs: list[int]


class PlanFacts(NamedTuple):
    """All that a plan is shown from; `native` are those of its servers that an execution in DRS has."""

    plan: PlanRow
    waves: list[WaveRow]
    labels: list[tuple[str, str]]
    last: RunFacts | None
    active: RunFacts | None
    conflicts: list[ServerConflict]
    native: dict[str, NativeRun]


KEPT = KeptParts(most=4_000_000)  # characters: those of 2,500 plans


def show_plans(plans: RecoveryPlanQuerySet, fields: frozenset[str] = FIELDS) -> Sequence[Mapping[str, Any]]:
    """These fields of the plans with their waves, last run and whatever keeps them from being run, ready to be
    answered: as JSON where a plan was shown before."""
    facts = _facts_of(plans)
    if fields >= FIELDS:
        return [KEPT.part(each.plan.key, each, partial(_show_plan, each)) for each in facts]
    return selected([_show_plan(each) for each in facts], fields)


def _facts_of(plans: RecoveryPlanQuerySet) -> list[PlanFacts]:
    listed = _rows(plans)
    keys = plans.order_by().values("pk")  # asked for again, for hundreds of ids cost more to send than to find
    waves = _waves(keys)
    runs = _runs_told({key for plan in listed for key in (plan.last_run, plan.active_run) if key})
    conflicts, labels, by_drs = _conflicts(keys), _labels(keys), running_anywhere(db_clock())
    return [
        PlanFacts(
            plan,
            waves[plan.key],
            labels[plan.key],
            runs.get(plan.last_run),
            runs.get(plan.active_run),
            conflicts.get(plan.key, []),
            _native(waves[plan.key], by_drs),
        )
        for plan in listed
    ]


def _native(waves: Iterable[WaveRow], by_drs: Mapping[str, NativeRun]) -> dict[str, NativeRun]:
    if not by_drs:
        return {}
    return {server: by_drs[server] for wave in waves for server in wave.servers if server in by_drs}


def _rows(plans: RecoveryPlanQuerySet) -> list[PlanRow]:
    runs = _runs().filter(plan=OuterRef("pk")).annotate(shown_id=IdText("pk")).values("shown_id")
    shown = plans.annotate(
        key=Cast("pk", TextField()),
        shown_id=IdText("pk"),
        created=UnixSeconds("created_at"),
        updated=UnixSeconds("updated_at"),
        last_run=Subquery(runs.filter(dry_run=False).order_by("-started_at", "-pk")[:1]),
        active_run=Subquery(runs.filter(ended_at=None).order_by("dry_run", "pk")[:1]),
    )
    return [PlanRow._make(row) for row in shown.values_list(*PlanRow._fields)]


def show_plan(plan_id: uuid.UUID) -> PlanShape:
    """The plan as it stands in the database now, or NotFound."""
    for facts in _facts_of(RecoveryPlan.objects.filter(pk=plan_id)):
        return _show_plan(facts)
    raise no_plan(plan_id)


def show_waves(plan_id: uuid.UUID) -> list[WaveShape]:
    """The waves of one plan; none of a plan that does not exist."""
    found = _waves(RecoveryPlan.objects.filter(pk=plan_id).values("pk"))
    return [_show_wave(each) for waves in found.values() for each in waves]


def _runs() -> Any:
    """Runs are asked for by name: they live above this room."""
    return RecoveryPlan._meta.get_field("executions").related_model._default_manager


def _runs_told(keys: Collection[str]) -> dict[str | None, RunFacts]:
    timed = _runs().annotate(shown_id=IdText("pk"), started=UnixSeconds("started_at"), ended=UnixSeconds("ended_at"))
    rows = timed.filter(pk__in=keys).values_list(*RunFacts._fields)
    return {row[0]: RunFacts._make(row) for row in rows}


def _conflicts(keys: Keys) -> Mapping[str, list[ServerConflict]]:
    """Servers of these plans that another plan's run holds."""
    rows = (
        WaveServer.objects.filter(plan__in=keys, assignment__hold__isnull=False)
        .exclude(assignment__hold__execution__plan_id=F("plan_id"))
        .order_by("plan_id", "wave__number", "position")
        .values_list(
            Cast("plan_id", TextField()),
            "assignment__source_server_id",
            IdText("assignment__hold__execution__pk"),
            "assignment__hold__execution__plan_name",
            "assignment__hold__execution__status",
        )
    )
    return _gathered(
        (key, ServerConflict(serverId=server_id, executionId=execution_id, planName=holder, status=status))
        for key, server_id, execution_id, holder, status in rows
    )


def _labels(keys: Keys) -> dict[str, list[tuple[str, str]]]:
    rows = PlanLabel.objects.filter(plan__in=keys).order_by("plan", "key")
    return _gathered(
        (owner, (key, value)) for owner, key, value in rows.values_list(Cast("plan_id", TextField()), "key", "value")
    )


def _show_plan(facts: PlanFacts) -> PlanShape:
    plan, last, active = facts.plan, facts.last, facts.active
    reason = _blocked_reason(facts)
    return PlanShape(
        planId=plan.shown_id,
        planName=plan.name,
        description=plan.description,
        rtoMinutes=plan.rto_minutes,
        rpoMinutes=plan.rpo_minutes,
        drillLeaseHours=plan.drill_lease_hours,
        drillLeaseEnds=plan.drill_lease_ends,
        labels=dict(facts.labels),
        startGate=plan.start_gate,
        mirrorToDrs=plan.mirror_to_drs,
        waves=[_show_wave(each) for each in facts.waves],
        waveCount=len(facts.waves),
        serverCount=sum(len(each.servers) for each in facts.waves),
        createdDate=plan.created,
        lastModifiedDate=plan.updated,
        version=plan.version,
        lastExecutionId=last.shown_id if last else None,
        lastExecutionStatus=last.status if last else None,
        lastStartTime=last.started if last else None,
        lastEndTime=last.ended if last else None,
        activeExecutionId=active.shown_id if active else None,
        conflicts=[*facts.conflicts, *_by_drs(facts.native)],
        canExecute=reason is None,
        blockedReason=reason,
    )


def _by_drs(native: Mapping[str, NativeRun]) -> Iterator[ServerConflict]:
    for server, run in native.items():
        yield ServerConflict(serverId=server, executionId=None, planName=run.plan_name, status=run.status, native=True)


def _blocked_reason(facts: PlanFacts) -> str | None:
    active, conflicts, native = facts.active, facts.conflicts, facts.native
    if not facts.waves:
        return startable.no_waves(facts.plan.name)
    if active is not None and not active.dry_run:
        return startable.is_running(facts.plan.name, active.status, active.started_by)
    if conflicts:
        return startable.servers_held(len(conflicts), [each["planName"] for each in conflicts])
    if native:
        return startable.servers_held_by_drs(len(native), {each.words for each in native.values()})
    return None


K = TypeVar("K")
V = TypeVar("V")


def _gathered(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _waves(plans: Keys) -> dict[str, list[WaveRow]]:
    """The waves of each plan in order. Tuples and not models, because a list holds thousands of them."""
    links = WaveGroup.objects.filter(wave__plan__in=plans).order_by("wave_id", "position")
    groups = _gathered(links.values_list("wave_id", IdText("group_id")))
    members = WaveServer.objects.filter(plan__in=plans).order_by("wave_id", "position")
    # As a number, which needs no conversion: there are thousands of them.
    is_optional = Cast("optional", IntegerField())
    placed = list(members.values_list("wave_id", "assignment__source_server_id", is_optional))
    servers = _gathered((wave, server) for wave, server, _ in placed)
    optional = _gathered((wave, server) for wave, server, optional in placed if optional)
    through = Wave.depends_on.through.objects.filter(from_wave__plan__in=plans).order_by("to_wave__number")
    needs = _gathered(through.values_list("from_wave_id", "to_wave__number"))
    rows = Wave.objects.filter(plan__in=plans).order_by("plan_id", "number")
    columns = [each.column for each in WAVE]
    return _gathered(
        (plan, WaveRow(number, tuple(values), groups[pk], servers[pk], optional[pk], needs[pk]))
        for pk, plan, number, *values in rows.values_list("pk", Cast("plan_id", TextField()), "number", *columns)
    )


_SHOWN = list(WaveShape.__annotations__)


def _show_wave(wave: WaveRow) -> WaveShape:
    shown = {
        "waveId": f"wave-{wave.number}",
        "waveNumber": wave.number,
        "executionOrder": wave.number,
        "protectionGroupIds": wave.groups,
        "protectionGroupId": wave.groups[0] if wave.groups else None,
        "serverIds": wave.servers,
        "optionalServerIds": wave.optional,
        "dependsOnWaves": wave.needs,
        "dependencies": [Dependency(dependsOnWaveId=f"wave-{each}") for each in wave.needs],
        **dict(zip(_NAMES, wave.values, strict=True)),
    }
    return cast("WaveShape", {name: shown[name] for name in _SHOWN})
