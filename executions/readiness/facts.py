"""Reads what the readiness of plans rests on: a fixed number of queries, however many plans there are, and no AWS.

Tuples and not models, because five hundred plans have thousands of servers.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from accounts.registry import name_of, way_of
from drs.errors import OTHER_ACCOUNT
from executions.models import Execution, Installation, LaunchJob, ServerRun, TerminationJob
from executions.pacemaker import beating
from executions.readiness.assessment import assess
from executions.readiness.following import FOLLOWS, group_drifts
from executions.readiness.terms import Drill, PlanFacts, Readiness, RegionFacts, ServerFacts, WaveFacts
from executions.states import ExecutionStatus, Kind, LaunchStatus
from native_plans.kept import DRIFT, drift
from plans.fields import STEERING
from plans.models import RecoveryPlan, Wave, WaveServer
from protection.inventory.capacity import Capacity
from protection.inventory.launch_settings import Settings
from protection.inventory.native_runs import by_server
from protection.inventory.source_servers import Place
from protection.models import LaunchSettings, RegionInventory, SourceServer
from protection.states import EXTENDED, replication_trouble
from protection.views import STALE_ROUNDS

Key = uuid.UUID


def believed_for() -> timedelta:
    """How long a reading of a region is believed: a few rounds of the engine."""
    return timedelta(seconds=min(settings.INVENTORY_SECONDS, 86_400 * 365) * STALE_ROUNDS)


def readiness_of(plan_ids: Collection[Key], now: datetime) -> dict[Key, Readiness]:
    """The readiness of each of these plans that exists."""
    return {facts.plan_id: assess(facts, now, believed_for()) for facts in facts_of(plan_ids)}


def facts_of(plan_ids: Collection[Key]) -> list[PlanFacts]:
    """All that the verdicts on these plans rest on."""
    plans = RecoveryPlan.objects.filter(pk__in=plan_ids).annotate(
        engine_alive=Exists(beating()),
        is_superseded=Exists(Installation.objects.exclude(superseded_by="")),
        follows=FOLLOWS,
    )
    columns = ("pk", "name", "version", "rpo_minutes", "engine_alive", "is_superseded", "follows", *DRIFT)
    rows = list(plans.values_list(*columns))
    drifts = group_drifts([row[0] for row in rows if row[columns.index("follows")]])
    members = _members(plan_ids)
    servers = servers_of([each for each, *_ in members])
    waves = _waves(plan_ids, members, servers)
    regions = regions_now()
    active = dict(Execution.objects.active().filter(plan__in=plan_ids, dry_run=False).values_list("plan_id", "status"))
    drills = _drills(plan_ids)
    launched_with = _launched_with(drills)
    return [
        PlanFacts(
            plan_id=pk,
            name=name,
            version=version,
            waves=waves[pk],
            regions=_used(waves[pk], regions),
            rpo_minutes=rpo_minutes,
            active_status=active.get(pk, ""),
            engine_alive=engine_alive,
            is_superseded=is_superseded,
            last_drill=drills.get(pk),
            launched_with=launched_with.get(pk, {}),
            native_drift=drift(pk, version, *native),
            group_drifts=drifts[pk],
        )
        for pk, name, version, rpo_minutes, engine_alive, is_superseded, _, *native in rows
    ]


def _used(waves: Iterable[WaveFacts], regions: Mapping[Place, RegionFacts]) -> dict[Place, RegionFacts]:
    return known_of({server.place for wave in waves for server in wave.servers}, regions)


def known_of(places: Iterable[Place], regions: Mapping[Place, RegionFacts]) -> dict[Place, RegionFacts]:
    """What is known of these; of those never read nothing is."""
    unread = {(way, region): RegionFacts(region, way, name_of(way) if way else "", way) for way, region in places}
    return {place: regions.get(place) or unread[place] for place in sorted(unread)}


# Server, key of its wave, region, account, the plan whose run holds it, that plan's name, its own plan
Member = tuple[str, int, str, str, Key | None, str | None, Key]
MEMBER = (
    "assignment__source_server_id",
    "wave_id",
    "assignment__group__region",
    "assignment__group__account_id",
    "assignment__hold__execution__plan_id",
    "assignment__hold__execution__plan_name",
    "plan_id",
)
SERVER = (
    "pk", "name", "region", "gone_at", "replication_state", "lag_seconds", "seen_at", "latest_snapshot_at",
    "launch_template_id", "details_as_of", "recovery_instance_id", "replication_error", "staging_status",
    "staging_error", "replication_direction", "starts_stopped", "has_actions",
    "launch_digest", "cpu_cores", "agent_silent_since", "instance_type",
    "account_id", "extended_of",
)  # fmt: skip


def _members(plan_ids: Collection[Key]) -> list[Member]:
    """Every server of these plans, in order, with the run that holds it."""
    return list(WaveServer.objects.filter(plan__in=plan_ids).order_by("wave", "position").values_list(*MEMBER))


def _waves(
    plan_ids: Collection[Key], members: Sequence[Member], servers: Mapping[str, ServerFacts]
) -> Mapping[Key, list[WaveFacts]]:
    through = Wave.depends_on.through.objects.filter(from_wave__plan__in=plan_ids)
    needs = _gathered(through.values_list("from_wave_id", "to_wave__number"))
    ways = {account: way_of(account) for account in {each[3] for each in members}}  # thousands have a few
    inside = _gathered((each[1], _placed(each, servers.get(each[0]), ways[each[3]])) for each in members)
    rows = Wave.objects.filter(plan__in=plan_ids).order_by("plan", "number")
    columns = [each.column for each in STEERING]
    return _gathered(
        (plan, WaveFacts(number, inside[pk], needs[pk], dict(zip(columns, values, strict=True))))
        for pk, plan, number, *values in rows.values_list("pk", "plan_id", "number", *columns)
    )


def _gathered(pairs: Iterable[tuple[Any, Any]]) -> Mapping[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _placed(member: Member, known: ServerFacts | None, way: str) -> ServerFacts:
    """A server in its place; one that another plan's run holds says so."""
    server_id, _, region, _, holder_plan, holder, plan = member
    held_by = holder if holder and holder_plan != plan else ""
    if known is None:
        return ServerFacts(server_id, server_id, region, known=False, way=way, held_by=held_by)
    # Built by hand: dataclasses.replace costs more than all the rest.
    return ServerFacts(**{**known.__dict__, "region": region, "way": way, "held_by": held_by})


def servers_of(ids: Collection[str]) -> dict[str, ServerFacts]:
    """These servers as the inventory has them."""
    rows = list(SourceServer.objects.filter(pk__in=set(ids)).order_by().values_list(*SERVER))
    settings_by = _settings({row[17] for row in rows})
    kinds, ended = instances_of({row[0]: (row[10], row[6]) for row in rows if row[10]})
    up = {row[0] for row in rows if row[10]} - ended
    ways = {account: way_of(account) for account in {row[21] for row in rows}}
    return {
        row[0]: ServerFacts(
            id=row[0],
            name=row[1],
            region=row[2],
            way=ways[row[21]],
            gone=row[3] is not None,
            replication_state=row[4],
            trouble=replication_trouble(
                error=row[11], staging_status=row[12], staging_error=row[13], direction=row[14]
            ),
            agent_silent_since=None if row[12] == EXTENDED else row[19],  # of its staging account's server
            lag_seconds=row[5],
            seen_at=row[6],
            latest_snapshot_at=row[7],
            launch_template_id=row[8],
            settings=settings_by.get(row[17]),
            cores=row[18],
            recommended_type=row[20],
            has_instance=row[0] in up,
            details_as_of=row[9],
            starts_stopped=bool(row[15]),
            has_actions=bool(row[16]),
            instance_of=kinds.get(row[0]),
            has_foreign_instance=row[0] in up and row[0] not in kinds,
            extended_of=row[22],
        )
        for row in rows
    }


def _settings(digests: Collection[str]) -> dict[str, Settings]:
    wanted = {each for each in digests if each}
    return dict(LaunchSettings.objects.filter(pk__in=wanted).values_list("pk", "settings")) if wanted else {}


def _launched_with(drills: Mapping[Key, Drill]) -> dict[Key, dict[str, Settings]]:
    """What the servers of these drills were launched with, as far as it was read."""
    rows = launches_of({plan: (drill.execution_id, drill.first_attempt_id) for plan, drill in drills.items()})
    settings_by = _settings({digest for *_, digest in rows})
    found: dict[Key, dict[str, Settings]] = defaultdict(dict)
    for plan, server, digest in rows:
        if digest in settings_by:
            found[plan][server] = settings_by[digest]
    return found


def launches_of(drills: Mapping[Key, tuple[Key, Key | None]]) -> list[tuple[Key, str, str]]:
    """Plan, server and digest of what it was launched with, of the last drill of each of these plans; of one that was
    tried again, what its earlier attempts launched, too."""
    plans = {first or drill: plan for plan, (drill, first) in drills.items()}
    if not plans:
        return []
    firsts = {first: first for first in plans}
    if any(first for _, first in drills.values()):
        attempts = Execution.objects.filter(first_attempt_id__in=plans)
        firsts |= {pk: first for pk, first in attempts.values_list("pk", "first_attempt_id") if first}
    came_up = ServerRun.objects.filter(
        wave__execution__in=firsts, launch_status__in=[LaunchStatus.LAUNCHED, LaunchStatus.TERMINATED]
    ).exclude(launch_digest="")
    rows = came_up.order_by("pk").values_list("wave__execution_id", "source_server_id", "launch_digest")
    return [(plans[firsts[run]], server, digest) for run, server, digest in rows]


def instances_of(listed: Mapping[str, tuple[str, datetime]]) -> tuple[dict[str, Kind | None], set[str]]:
    """Which of these servers' instances a run of ours launched, and for what, and the servers whose instance is known
    to have ended since DRS listed it: the inventory is read once a minute, and what it reads later is believed again.
    `listed` has the instance of each server and when that was seen. Found through the servers' index.

    None for an instance of a run that is not over: it is in nobody's way, and the run itself is told of elsewhere.
    """
    launched = ServerRun.objects.filter(source_server_id__in=list(listed)).exclude(recovery_instance_id="")
    columns = (
        "source_server_id", "recovery_instance_id", "launch_status", "terminated_at",
        "wave__execution__kind", "wave__execution__ended_at",
    )  # fmt: skip
    kinds, ended = dict[str, Kind | None](), set[str]()
    for server, instance, status, terminated_at, kind, ended_at in launched.order_by("pk").values_list(*columns):
        known, seen_at = listed[server]
        if instance != known:
            continue
        if LaunchStatus.of(status).is_gone and terminated_at is not None and terminated_at >= seen_at:
            ended.add(server)
        else:
            kinds[server] = Kind.of(kind) if ended_at else None
    return {server: kind for server, kind in kinds.items() if server not in ended}, ended


def regions_now() -> dict[Place, RegionFacts]:
    """Every account's region that was ever read; of the jobs there, those that no run of ours has are foreign."""
    rows = list(RegionInventory.objects.all())
    ids = [job["jobId"] for row in rows for job in row.running_jobs]
    ours = {each for model in (LaunchJob, TerminationJob) for each in _known(model, ids)} if ids else set()
    return {(row.way, row.region): _region(row, ours) for row in rows}


def _known(jobs: type[LaunchJob] | type[TerminationJob], ids: Collection[str]) -> Iterable[str]:
    """Those of these DRS jobs that are ours; in no order, for which SQLite would read the whole history."""
    return jobs.objects.filter(job_id__in=ids).order_by().values_list("job_id", flat=True)


def _region(row: RegionInventory, ours: Collection[str]) -> RegionFacts:
    running = {job["jobId"]: tuple(job["servers"]) for job in row.running_jobs}
    return RegionFacts(
        region=row.region,
        way=row.way,
        account=name_of(row.owner),
        account_id=row.owner,
        as_of=row.as_of,
        initialized=row.initialized,
        error=row.error_message or row.error_code or row.details_error,
        is_elsewhere=row.error_code == OTHER_ACCOUNT,
        running=running,
        foreign=frozenset(running) - frozenset(ours),
        jobs_as_of=row.jobs_as_of,
        checks_error=row.checks_error,
        templates_error=row.templates_error,
        capacity=Capacity.read(row.capacity),
        actions_denied=row.actions_denied,
        native=by_server(row.native_runs or ()),
        native_as_of=row.native_as_of,
        native_error=row.native_error,
    )


def _drills(plan_ids: Collection[Key]) -> dict[Key, Drill]:
    return {
        plan: Drill(pk, ended_at, copy, first)
        for pk, plan, ended_at, copy, first in last_drills(plan_ids).values_list(
            "pk", "plan_id", "ended_at", "plan_copy", "first_attempt_id"
        )
        if ended_at is not None
    }


def last_drills(plan_ids: Collection[Key]) -> QuerySet[Execution]:
    """The last completed drill of each plan, found through the plan's index."""
    completed = Execution.objects.filter(
        plan=OuterRef("pk"), kind=Kind.DRILL, status=ExecutionStatus.COMPLETED, dry_run=False
    )
    newest = completed.newest_first().values("pk")[:1]
    last = RecoveryPlan.objects.filter(pk__in=plan_ids).order_by().values_list(Subquery(newest), flat=True)
    return Execution.objects.filter(pk__in=[pk for pk in last if pk], ended_at__isnull=False)
