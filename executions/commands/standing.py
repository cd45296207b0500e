"""Recovery instances that run, whoever launched them: what DRS lists, and what runs launched that it does not list."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import assert_never

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from audit.actor import Actor
from audit.models import AuditEntry
from contract.chunks import chunks
from contract.rights import Thing
from executions.codes.ours import Code
from executions.commands.production import ended_since, launched_outside, of_run
from executions.models import Execution, LaunchJob, OutsideTermination, ServerRun, TerminationJob
from executions.models.run_number import called
from executions.querysets import STANDING
from executions.runs.allowed import scopes
from executions.runs.claim import LARGE_COLUMNS
from executions.states import UNKNOWN_KIND, InstanceState, JobStage, Kind, kind_by_drs
from protection.models import RecoveryInstance, RegionInventory, ServerAssignment, SourceServer
from protection.scopes.groups import things_of as groups_of

COUNTED_SECONDS = 60  # so long a count is believed


@dataclass(frozen=True)
class Standing:
    """One instance that is there, as far as is known. `kind` is DRS's word, or of one that it does not list its run's;
    `failure` is why the last attempt to terminate it did not, `ending` how far one is that is under way."""

    recovery_instance_id: str
    source_server_id: str
    hostname: str
    account_id: str
    region: str
    kind: str
    state: str
    since: datetime | None
    execution_id: uuid.UUID | None
    plan_name: str
    run_number: int | None
    launched_by: str
    failure: str
    ending: str
    instance_type: str
    monthly_cost: float | None
    lease_ends_at: datetime | None = None
    run_under_way: bool = False  # then nobody terminates it
    replicated_back: bool = False  # by somebody: then it may run production, whatever launched it

    @property
    def is_overdue(self) -> bool:
        """Whether it has outlived its drill's lease."""
        return self.lease_ends_at is not None and self.lease_ends_at <= timezone.now()

    @property
    def run_called(self) -> str:
        """What people call the run that launched it: “run 117 of Payments”."""
        return f"{called(self.run_number, self.execution_id)} of {self.plan_name}"

    @property
    def is_drill(self) -> bool:
        return self.kind == Kind.DRILL and not self.replicated_back

    @property
    def right(self) -> str:
        """What terminating it needs: only what is known to be a drill's needs the smaller right."""
        return "executions.terminate_drill" if self.is_drill else "executions.terminate_recovery"


def standing() -> list[Standing]:
    """Every one of them, the oldest first; a fixed number of queries for each thousand."""
    ours = {each.recovery_instance_id or each.source_server_id: each for each in _launched()}
    listed = list(RecoveryInstance.objects.up())
    ended = ended_since(listed)
    listed = [each for each in listed if each.pk not in ended]
    jobs = _launches(each.job_id for each in listed)
    servers = {each.source_server_id for each in listed} | {each.source_server_id for each in ours.values()}
    known = {pk: row for some in chunks(sorted(servers)) for pk, row in SourceServer.objects.in_bulk(some).items()}
    attempts = _attempts({each.wave.execution_id for each in ours.values()}, [each.pk for each in listed])
    found = []
    for instance in listed:
        row = ours.pop(instance.pk, None)
        run = row.wave.execution if row else jobs.get(instance.job_id)
        kind, server = kind_by_drs(instance.is_drill), known.get(instance.source_server_id)
        found.append(_standing(instance, row, run, kind, server, attempts))
    for row in ours.values():  # not listed: not yet, or not any more
        server = known.get(row.source_server_id)
        found.append(_standing(None, row, row.wave.execution, Kind.of(row.wave.execution.kind), server, attempts))
    return sorted(found, key=lambda each: (each.since is None, each.since, each.hostname))


def seen_standing(actor: Actor) -> list[tuple[Standing, Actor]]:
    """Those that somebody sees, with the actor whose rights are asked for each: it is its run's, or, launched outside,
    its server's group's."""
    found = standing()
    if not actor.is_bounded:
        return [(each, actor) for each in found]
    runs = scopes.things_of(Execution.objects.only("plan_id").filter(pk__in={each.execution_id for each in found}))
    assigned = ServerAssignment.objects.filter(source_server_id__in={each.source_server_id for each in found})
    homes = dict(assigned.values_list("source_server_id", "group_id"))
    groups = groups_of(set(homes.values()))

    def thing(each: Standing) -> Thing:
        if each.execution_id is not None:
            return runs[each.execution_id]
        home = homes.get(each.source_server_id)
        return groups[home] if home else Thing(accounts=frozenset([each.account_id]))

    things = [(each, thing(each)) for each in found]
    return [(each, actor.at(about)) for each, about in things if actor.sees.covers(about)]


@dataclass(frozen=True)
class LeftRunning:
    """How many instances run of one kind, since when the oldest of it does, and how many have outlived a lease."""

    kind: str
    count: int
    since: datetime | None
    overdue: int


@dataclass(frozen=True)
class _Counted:
    found: list[LeftRunning]
    holds_until: datetime | None  # the next end of a lease


_counting = Lock()


def left_running_seen(actor: Actor, mark: str, now: datetime) -> list[LeftRunning]:
    """The same for who sees a part, counted from the instances themselves."""
    if actor.sees.everywhere:
        return left_running(mark, now)
    found = [each for each, _ in seen_standing(actor)]
    return _by_kind([(each.kind, each.since, each.lease_ends_at) for each in found], now)


def left_running(mark: str, now: datetime) -> list[LeftRunning]:
    """The same, counted: without names, and anew only when something has changed or a minute has passed. `mark` changes
    with all active runs and with the inventory; what changes of other runs the journal tells. One thread counts for all
    that ask meanwhile."""
    entry = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first()
    listed = RegionInventory.objects.aggregate(at=Max("instances_as_of"))["at"]
    key = f"left-running-{sha256(repr((mark, entry, listed)).encode()).hexdigest()}"
    return (_kept(key, now) or _counted_once(key, now)).found


def _kept(key: str, now: datetime) -> "_Counted | None":
    kept: _Counted | None = cache.get(key)
    return None if kept is None or (kept.holds_until is not None and kept.holds_until <= now) else kept


def _counted_once(key: str, now: datetime) -> "_Counted":
    with _counting:
        kept = _kept(key, now)
        if kept is None:
            kept = _count(now)
            cache.set(key, kept, COUNTED_SECONDS)
    return kept


def _count(now: datetime) -> _Counted:
    """What DRS lists, one by one; what it does not list, which may be many, in the database."""
    up = RecoveryInstance.objects.up()
    launched = ServerRun.launches.filter(STANDING).exclude(recovery_instance_id="").order_by()
    is_listed = Exists(up.filter(pk=OuterRef("recovery_instance_id")))
    columns = ("recovery_instance_id", "launched_at", "wave__execution__lease_ends_at")
    ours = {key: (since, ends) for key, since, ends in launched.filter(is_listed).values_list(*columns)}
    listed = list(up)
    ended = ended_since(listed)
    found = [
        (kind_by_drs(each.is_drill), *ours.get(each.pk, (each.launched_at, None)))
        for each in listed
        if each.pk not in ended
    ]
    others, their_end = _not_listed(launched.filter(~is_listed), now)
    ends = [each for *_, each in found if each and each > now] + ([their_end] if their_end else [])
    return _Counted(_together([*_by_kind(found, now), *others]), min(ends, default=None))


def _not_listed(rows: QuerySet[ServerRun], now: datetime) -> tuple[list[LeftRunning], datetime | None]:
    """These, counted, and when the next lease among them ends."""
    instances, lease = "recovery_instance_id", "wave__execution__lease_ends_at"
    counts = rows.values_list("wave__execution__kind").annotate(
        count=Count(instances, distinct=True),
        since=Min("launched_at"),
        overdue=Count(instances, distinct=True, filter=Q(**{f"{lease}__lte": now})),
        next_end=Min(lease, filter=Q(**{f"{lease}__gt": now})),
    )
    found = list(counts)
    return [LeftRunning(*each) for *each, _ in found], min((ends for *_, ends in found if ends), default=None)


def _by_kind(found: Collection[tuple[str, datetime | None, datetime | None]], now: datetime) -> list[LeftRunning]:
    return _together(LeftRunning(kind, 1, since, int(ends is not None and ends <= now)) for kind, since, ends in found)


def _together(counts: Iterable[LeftRunning]) -> list[LeftRunning]:
    """One of each kind."""
    found: dict[str, LeftRunning] = {}
    for each in counts:
        had = found.get(each.kind, LeftRunning(each.kind, 0, None, 0))
        since = min((at for at in (had.since, each.since) if at), default=None)
        found[each.kind] = LeftRunning(each.kind, had.count + each.count, since, had.overdue + each.overdue)
    return [found[kind] for kind in sorted(found)]


def _launched() -> Iterable[ServerRun]:
    rows = ServerRun.launches.filter(STANDING)
    return rows.select_related("wave__execution", "job").defer(*LARGE_COLUMNS)


def _launches(job_ids: Iterable[str]) -> dict[str, Execution]:
    wanted = sorted({each for each in job_ids if each})
    jobs = [
        job
        for some in chunks(wanted)
        for job in LaunchJob.objects.filter(job_id__in=some).select_related("wave__execution").defer(*LARGE_COLUMNS)
    ]
    return {job.job_id: job.wave.execution for job in jobs}


@dataclass(frozen=True)
class _Attempts:
    """At terminating instances: why the last one of each failed, and how far it is where one is under way."""

    failed: dict[str, str] = field(default_factory=dict)
    under_way: dict[str, str] = field(default_factory=dict)

    def take(self, instances: Iterable[str], sentence: str) -> None:
        for each in instances:
            self.failed.pop(each, None)
            self.under_way.pop(each, None)
            if sentence:
                self.under_way[each] = sentence


def _attempts(executions: Iterable[uuid.UUID], outside: Iterable[str]) -> _Attempts:
    found = _Attempts()
    for some in chunks(sorted(executions)):
        for job in TerminationJob.objects.filter(execution__in=some).order_by("pk"):
            found.take(job.instance_ids, _under_way(job))
            found.failed.update({each: failure["message"] for each, failure in job.failures.items()})
    for keys in chunks(sorted(outside)):
        for row in OutsideTermination.objects.filter(instance_id__in=keys).order_by("pk"):
            is_over = row.next_look_at is None or row.state.stage is JobStage.NEVER
            found.take([row.instance_id], "" if is_over else _under_way(row))
            if is_over and row.error_message:
                found.failed[row.instance_id] = row.error_message
    return found


def _under_way(job: TerminationJob | OutsideTermination) -> str:
    by = f"termination requested by {job.requested_by}"
    match job.state.stage:
        case JobStage.WAITS | JobStage.SENT:
            return f"{by}. {job.error_message}" if job.error_message else by
        case JobStage.OPEN:
            return f"{by}, accepted by DRS as {job.job_id}"
        case JobStage.ENDED | JobStage.NEVER:
            return ""
        case _:
            assert_never(job.state.stage)


def _standing(
    instance: RecoveryInstance | None,
    row: ServerRun | None,
    run: Execution | None,
    kind: str,
    server: SourceServer | None,
    attempts: _Attempts,
) -> Standing:
    key = instance.pk if instance else row.recovery_instance_id if row else ""
    server_id = instance.source_server_id if instance else row.source_server_id if row else ""
    type_ = server.instance_type if server else ""
    since = (row.launched_at if row else None) or (instance.launched_at if instance else None)
    return Standing(
        recovery_instance_id=key,
        source_server_id=server_id,
        hostname=row.hostname if row else server.name if server else server_id,
        account_id=instance.account_id if instance else row.job.account_id if row else "",
        region=instance.region if instance else row.job.region if row else "",
        kind=kind,
        state=_state(instance, row),
        since=since,
        execution_id=run.pk if run else None,
        plan_name=run.plan_name if run else "",
        run_number=run.number if run else None,
        launched_by=of_run(Kind.of(run.kind), run.plan_name, run.called) if run else launched_outside(instance),
        failure=attempts.failed.get(key, ""),
        ending=attempts.under_way.get(key, ""),
        instance_type=type_,
        monthly_cost=settings.MONTHLY_PRICES.get(type_),
        lease_ends_at=run.lease_ends_at if run else None,
        run_under_way=run is not None and run.ended_at is None,
        replicated_back=instance is not None and instance.is_protected,
    )


def _state(instance: RecoveryInstance | None, row: ServerRun | None) -> str:
    if instance is not None:
        return instance.ec2_state or UNKNOWN_KIND
    is_unknown = row is not None and row.recovery_instance_state == InstanceState.UNKNOWN
    return Code.UNKNOWN_TO_DRS.value if is_unknown else "NOT_LISTED_YET"


@dataclass(frozen=True)
class Known:
    """When DRS last listed the instances of a region, and why that is not newer."""

    account_id: str
    region: str
    as_of: datetime | None
    error: str


def known_regions() -> list[Known]:
    """Of every region of the inventory."""
    rows = RegionInventory.objects.filter(initialized=True)
    return [
        Known(each.instances_account_id or each.owner, each.region, each.instances_as_of, each.instances_error)
        for each in rows
    ]
