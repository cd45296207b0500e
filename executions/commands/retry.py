"""A run tried again: only what did not come up. What came up in an earlier attempt stands and is not launched twice."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, Invalid
from drs.client import SERVERS_PER_JOB
from executions import queue
from executions.codes.ours import Code
from executions.commands import control, new_run
from executions.commands.production import ENDED, Consent, look_at_run, require_ending
from executions.measuring import recorded_figures
from executions.models import Execution, LaunchJob, ServerHold, ServerRun, WaveRun
from executions.runs import notifications
from executions.runs.allowed.actions import right_to_start
from executions.runs.allowed.conflicts import refuse_held, refuse_second_run
from executions.runs.allowed.scopes import at_run
from executions.runs.attempts import LeftOut, attempts_among, why_not
from executions.runs.journal import note
from executions.runs.run_numbers import next_number
from executions.states import LaunchStatus, WaveStatus
from plans import services as plan_services
from plans.fields import PLAN, WAVE
from plans.models import RecoveryPlan, WaveGroup
from protection.inventory.recovery_instances import InstancesKnown
from protection.models import ProtectionGroup, ServerAssignment
from protection.scopes.groups import require_groups


@dataclass(frozen=True)
class WaveLeft:
    """A wave of the run and those of its servers that are not up; none left means that it stands. `left_out` are not
    launched by this retry either, because whoever starts it wants that."""

    wave: WaveRun
    servers: Sequence[ServerRun]
    left_out: Sequence[ServerRun] = ()

    def choosing(self, chosen: Collection[str]) -> "WaveLeft":
        """The same with these servers alone."""
        kept = [each for each in self.servers if each.source_server_id in chosen]
        return replace(self, servers=kept, left_out=[each for each in self.servers if each not in kept])


@dataclass(frozen=True)
class Choice:
    """Which of the servers that are left a retry launches: all, only these, or all but these."""

    only: Collection[str] | None = None
    exclude: Collection[str] = ()

    def of(self, left: Sequence[WaveLeft]) -> list[WaveLeft]:
        """Raises Invalid, naming the field, for servers that are not left, and where none would be launched."""
        known = set(_homes(left))
        name = "excludeServerIds" if self.only is None else "serverIds"
        given = list(self.exclude if self.only is None else self.only)
        if self.only is not None and self.exclude:
            raise Invalid({"excludeServerIds": ["Give serverIds or excludeServerIds, not both."]})
        if strays := [each for each in dict.fromkeys(given) if each not in known]:
            raise Invalid(
                {name: [f"{each} is not a server that a retry of this run would launch." for each in strays[:20]]}
            )
        chosen = known.intersection(given) if self.only is not None else known.difference(given)
        if known and not chosen:
            raise Invalid({name: ["No server would be left to launch."]})
        return [each.choosing(chosen) for each in left]


EVERYTHING = Choice()


def what_is_left(execution: Execution) -> list[WaveLeft]:
    """Every wave with the servers that a retry launches: the failed ones, all of waves that were not run, and those
    that this run, itself a retry, left out."""
    servers: dict[int, list[ServerRun]] = defaultdict(list)
    rows = ServerRun.objects.filter(wave__execution=execution).exclude(launch_status=LaunchStatus.LAUNCHED)
    for row in rows.select_related("job", "wave"):
        servers[row.wave.number].append(row)
    for row in _left_out_of(execution):
        servers[row.wave.number].append(row)
    for each in servers.values():
        each.sort(key=lambda row: row.position)
    return [WaveLeft(wave, servers[wave.number]) for wave in execution.waves.order_by("number")]


def _left_out_of(execution: Execution) -> list[ServerRun]:
    """The rows of servers that this retry left out, as the last attempt that had them left them."""
    ids = [each["sourceServerId"] for each in execution.left_out or ()]
    if not ids:
        return []
    earlier = attempts_among(execution).filter(attempt__lt=execution.attempt)
    rows = ServerRun.objects.filter(wave__execution__in=earlier, source_server_id__in=ids)
    rows = rows.select_related("job", "wave").order_by("wave__execution__attempt")
    return list({row.source_server_id: row for row in rows}.values())


def _refuse(execution: Execution) -> None:
    if reason := why_not(execution):
        raise BadRequest(Code.EXECUTION_NOT_RETRYABLE, reason, details={"status": execution.status})


@attempt("execution.retry", "execution", subject="execution_id")
def retry(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    initiated_by: str = "",
    comment: str = "",
    replace_production: bool = False,
    looked: InstancesKnown | None = None,
    choice: Choice = EVERYTHING,
    clock: Clock = db_clock,
) -> Execution:
    """Start a new run of what is left of a PARTIAL or FAILED one: as frozen then, whatever became of the plan. What
    `choice` leaves out is listed, and the run is never complete.

    `replace_production` and `looked` are those of a start. Raises Forbidden; Invalid; NotFound; BadRequest
    (EXECUTION_NOT_RETRYABLE); Conflict (PLAN_ALREADY_EXECUTING, SERVER_CONFLICT, PRODUCTION_RUNNING); and, of a drill,
    the contract's DRS errors when DRS could not be asked what runs. Constraints see to it that of any number of retries
    at once one wins.
    """
    actor, execution = at_run(actor, execution_id), control.get(execution_id)
    control.require_start(actor, execution.purpose)
    control.check_comment(comment)
    control.check_initiator(initiated_by)
    consent = Consent(looked or look_at_run(execution), replace_production)
    try:
        with transaction.atomic():
            made = _create(actor, execution_id, initiated_by, comment, choice, consent, clock())
            transaction.on_commit(lambda: queue.nudge(made.pk))
    except IntegrityError:  # somebody was faster: say who
        execution = control.get(execution_id)
        if execution.plan is not None:
            refuse_second_run(execution.plan, because=why_not(execution))
        _refuse(execution)
        refuse_held(_homes(what_is_left(execution)))
        raise
    return made


def _create(
    actor: Actor,
    execution_id: uuid.UUID,
    initiated_by: str,
    comment: str,
    choice: Choice,
    consent: Consent,
    now: datetime,
) -> Execution:
    """All rows of the retry. Plan, groups and the earlier run are locked in the order in which a start locks them."""
    unlocked = control.get(execution_id)
    if unlocked.dry_run or not unlocked.state.fell_short:  # nothing to wait for: a plan that runs may be its own
        _refuse(unlocked)
    plan_id = unlocked.plan_id
    if plan_id is not None:
        plan = plan_services.get(plan_id, for_update=True)
        groups = _groups(plan, unlocked).select_for_update().order_by("pk").values_list("pk", flat=True)
        require_groups(actor, *right_to_start(unlocked.purpose), list(groups))
        refuse_second_run(plan, because=why_not(unlocked))
    list(attempts_among(unlocked).select_for_update().order_by("pk").values_list("pk"))  # no termination meanwhile
    earlier = control.get(execution_id)
    _refuse(earlier)
    left = choice.of(what_is_left(earlier))
    _refuse_strays(left)
    refuse_held(_homes(left))
    attempts = set(attempts_among(earlier).values_list("pk", flat=True))
    production = require_ending(actor, earlier.purpose, list(_homes(left)), consent, attempts)
    key = uuid.uuid4()
    made = Execution.objects.create(
        pk=key,
        number=next_number(key),
        plan=earlier.plan,
        plan_name=earlier.plan_name,
        plan_copy=earlier.plan_copy,
        kind=earlier.kind,
        total_waves=earlier.total_waves,
        outage_at=earlier.outage_at,
        snapshots_until=earlier.snapshots_until,
        retry_of=earlier,
        first_attempt_id=earlier.first_attempt_id or earlier.pk,
        first_started_at=earlier.first_started_at or earlier.started_at,
        attempt=earlier.attempt + 1,
        left_out=_named(left),
        agreed_instances=production.get(ENDED),
        initiated_by=initiated_by.strip() or actor.name,
        started_by=actor.name,
        started_at=now,
        next_step_at=now,
        **PLAN.shared(earlier, Execution),
    )
    for each in left:
        _copy(made, each, earlier.attempt, now)
    ServerHold.objects.bulk_create(
        ServerHold(assignment_id=server, execution=made, wave_number=number) for server, number in _homes(left).items()
    )
    _note(actor, earlier, made, left, production, comment)
    notifications.started(made, now)
    new_run.wait_at_start(made, made.waves.get(number=0), now)
    return made


def _named(left: Iterable[WaveLeft]) -> list[LeftOut]:
    return [
        LeftOut(waveNumber=each.wave.number, sourceServerId=server.source_server_id, hostname=server.hostname)
        for each in left
        for server in each.left_out
    ]


def _groups(plan: RecoveryPlan, earlier: Execution) -> QuerySet[ProtectionGroup]:
    """The groups of the plan and those of the run's servers, which the plan may name no more."""
    servers = ServerRun.objects.filter(wave__execution=earlier).values("source_server_id")
    homes = ServerAssignment.objects.filter(source_server_id__in=servers).values("group")
    named = WaveGroup.objects.filter(wave__plan=plan).values("group")
    return ProtectionGroup.objects.filter(Q(pk__in=named) | Q(pk__in=homes))


def _homes(left: Iterable[WaveLeft]) -> dict[str, int]:
    return {server.source_server_id: each.wave.number for each in left for server in each.servers}


def _refuse_strays(left: Iterable[WaveLeft]) -> None:
    """A server that is in no group any more cannot be held, so it cannot be launched safely."""
    wanted = _homes(left)
    known = set(ServerAssignment.objects.filter(source_server_id__in=wanted).values_list("source_server_id", flat=True))
    if strays := sorted(set(wanted) - known):
        raise BadRequest(
            Code.EXECUTION_NOT_RETRYABLE,
            f"{len(strays)} of its servers are no longer in a protection group, such as {strays[0]}.",
            details={"serverIds": strays},
        )


def _copy(made: Execution, left: WaveLeft, attempt: int, now: datetime) -> None:
    """A wave with what is left of it; one of which nothing is left stands as completed, so that others may need it. One
    all of whose servers are left out, and none is up, is skipped."""
    status, text = WaveStatus.PENDING, ""
    if not left.servers:
        is_up = _is_any_up(left)
        status = WaveStatus.COMPLETED if is_up else WaveStatus.SKIPPED
        text = _why_not_run(left, attempt, is_up=is_up)
    said = WAVE.shared(left.wave, WaveRun)
    # A gate that was passed is not waited at again; one whose pause expired, or that was cancelled at, was not passed.
    # One that needs approvals is asked at anew: they were for what the run was then.
    asks_anew = bool(said["gate"]) and said["gate"]["approvals"] > 0
    said["pause_before"] &= (left.wave.resumed_at is None or asks_anew) and bool(left.servers)
    wave = WaveRun.objects.create(
        execution=made,
        number=left.wave.number,
        depends_on=left.wave.depends_on,
        **said,
        status=status,
        ended_at=None if left.servers else now,
        status_message=text,
    )
    places: dict[tuple[str, str], list[ServerRun]] = defaultdict(list)
    for server in left.servers:
        places[server.job.account_id, server.job.region].append(server)
    chunks = [
        (account, region, servers[at : at + SERVERS_PER_JOB])
        for (account, region), servers in sorted(places.items())
        for at in range(0, len(servers), SERVERS_PER_JOB)
    ]
    for position, (account, region, servers) in enumerate(chunks):
        job = LaunchJob.objects.create(wave=wave, position=position, account_id=account, region=region)
        ServerRun.objects.bulk_create(
            ServerRun(
                wave=wave,
                job=job,
                position=server.position,
                source_server_id=server.source_server_id,
                hostname=server.hostname,
                optional=server.optional,
                recovery_snapshot_id=server.recovery_snapshot_id,
                snapshot_at=server.snapshot_at,
            )
            for server in servers
        )


def _is_any_up(left: WaveLeft) -> bool:
    """Whether a server of the wave was launched by this attempt or one before."""
    if not left.left_out:
        return True
    attempts = attempts_among(left.wave.execution)
    rows = ServerRun.objects.filter(wave__execution__in=attempts, wave__number=left.wave.number)
    return rows.filter(launch_status=LaunchStatus.LAUNCHED).exists()


def _why_not_run(left: WaveLeft, attempt: int, *, is_up: bool) -> str:
    names = ", ".join(each.hostname for each in left.left_out[:3])
    more = f" and {len(left.left_out) - 3} more" if len(left.left_out) > 3 else ""
    if not left.left_out:
        return f"All its servers were launched by attempt {attempt} or earlier."
    if is_up:
        rest = f"Its other servers were launched by attempt {attempt} or earlier."
        return f"Left out of this attempt: {names}{more}. {rest}"
    return f"All its servers were left out of this attempt: {names}{more}."


def _note(
    actor: Actor,
    earlier: Execution,
    made: Execution,
    left: Sequence[WaveLeft],
    production: Mapping[str, Any],
    comment: str,
) -> None:
    note(
        made,
        "execution.retry",
        actor=actor,
        comment=comment,
        before={"executionId": str(earlier.pk), "status": earlier.status},
        after={"executionId": str(made.pk), "status": made.status},
        kind=made.kind,
        attempt=made.attempt,
        retryOf=str(earlier.pk),
        servers=len(_homes(left)),
        standing=[each.wave.number for each in left if not each.servers],
        initiatedBy=made.initiated_by,
        facts={
            **({"leftOut": [each["sourceServerId"] for each in made.left_out]} if made.left_out else {}),
            **production,
            **recorded_figures.start_figures(made),
        },
    )
