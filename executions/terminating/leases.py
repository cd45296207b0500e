"""Leases of drills: instances that run on after their drill for longer than its plan allows are told of, or terminated.

Terminated is only what DRS, asked right before, calls this drill's: never production, nor what somebody replicates
back, and never what another run uses.
People are warned an hour before, however late an engine looks.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from audit.actor import ENGINE
from contract.clock import Clock, unix, utc
from contract.storage.prepared import Asked, Prepared
from drs.client import SendWindow
from drs.errors import DrsError
from executions import installation
from executions.models import Execution, ServerRun
from executions.querysets import STANDING
from executions.runs import notifications, transitions
from executions.runs.allowed.actions import no_terminate
from executions.runs.aws_calls import AwsCalls
from executions.runs.journal import note
from executions.states import Kind
from executions.terminating.instances import Place, launched, lock_run, terminable_by_region
from executions.terminating.send import send
from executions.terminating.spared import held_servers, kinds
from executions.terminating.terminate import record_intents
from plans.models import LeaseEnds

WARNING = timedelta(hours=1)


def _due() -> QuerySet[Execution]:
    leased = Execution.objects.final().filter(kind=Kind.DRILL, lease_ends_at__isnull=False, lease_over_at=None)
    stands = Exists(ServerRun.launches.filter(STANDING, wave__execution=OuterRef("pk")))
    return leased.filter(stands, lease_ends_at__lte=Asked(Execution, "lease_ends_at")).order_by("lease_ends_at")


_DUE = Prepared(_due)


def due(now: datetime) -> list[Execution]:
    """Drills that are over, whose instances stand, and of whose leases something is to be said or done; by whoever has
    taken over, if anybody has."""
    found = _DUE.objects(lease_ends_at=now + WARNING)
    return [] if found and installation.is_superseded() else found


def look(execution: Execution, clock: Clock) -> AwsCalls[None]:
    """Warn, tell, or terminate, whatever is due now."""
    up, now = list(launched(execution)), clock()
    ends = execution.lease_ends_at
    if not up or ends is None:
        return  # nothing stands; what comes up late is looked at again
    if execution.drill_lease_ends != LeaseEnds.TERMINATE:
        if now >= ends:
            _tell(execution, up, now)
    elif execution.lease_warned_at is None:
        _warn(execution, up, max(ends, now + WARNING), now)
    elif now >= ends:
        yield from _end(execution, clock)


def _tell(execution: Execution, up: Sequence[ServerRun], now: datetime) -> None:
    with transaction.atomic():
        if _mark(execution, lease_over_at=now):
            ends = unix(execution.lease_ends_at)
            note(execution, "lease.over", instances=_ids(up), leaseEndsTime=ends, overTime=unix(now))
            notifications.lease_over(execution, len(up), now)
            transitions.touch(execution, now)


def _warn(execution: Execution, up: Sequence[ServerRun], ends: datetime, now: datetime) -> None:
    with transaction.atomic():
        if _mark(execution, lease_warned_at=now, lease_ends_at=ends):
            execution.lease_ends_at = ends
            note(execution, "lease.warned", instances=_ids(up), leaseEndsTime=unix(ends), warnedTime=unix(now))
            notifications.lease_warning(execution, len(up), now)
            transitions.touch(execution, now)


def _mark(execution: Execution, **columns: object) -> bool:
    """Write it unless another engine was faster, or a person has extended the lease meanwhile."""
    lock_run(execution)
    same = Execution.objects.filter(
        pk=execution.pk,
        lease_over_at=None,
        lease_warned_at=execution.lease_warned_at,
        lease_ends_at=execution.lease_ends_at,
    )
    return bool(same.update(**columns))


def _ids(servers: Sequence[ServerRun]) -> list[str]:
    return [each.recovery_instance_id or each.source_server_id for each in servers]


def _end(execution: Execution, clock: Clock) -> AwsCalls[None]:
    if no_terminate(execution) is not None:
        return  # a later attempt counts on them, or they are being terminated: looked at again
    here = _not_asked_for(execution)
    held = held_servers([each.source_server_id for each in _all(here)])
    kinds_told: dict[str, str] = {}
    silent: list[ServerRun] = []
    for place, servers in here.items():
        free = [each for each in servers if each.source_server_id not in held]
        try:
            kinds_told |= yield from kinds(place, free)
        except DrsError:
            silent += free  # nothing is ended unseen; asked again at the next look
    mine = [each for each, kind in kinds_told.items() if kind == Kind.DRILL]
    if silent and not mine:
        return
    window, now, waits = SendWindow(settings.SEND_WINDOW_SECONDS), clock(), _ids(silent)
    with transaction.atomic():
        if not _mark(execution, lease_over_at=None if silent else now):
            return
        up = _ids(_all(_not_asked_for(execution)))  # now: another engine may have asked for some
        mine = [each for each in mine if each in up]
        if silent and not mine:
            return
        left = [each for each in up if each not in [*mine, *waits]]
        told = {"leaseEndsTime": unix(execution.lease_ends_at), "overTime": unix(now), "drsSays": kinds_told}
        later = {"waits": waits} if waits else {}
        note(execution, "lease.ended", instances=mine, leftAlone=left, facts={**told, **later})
        notifications.lease_ended(execution, mine, len(left), len(waits), now)
        transitions.touch(execution, now)
        comment = f"Their lease ended at {utc(execution.lease_ends_at or now)}."
        jobs = record_intents(ENGINE, execution, comment, clock, (), mine) if mine else []
    yield from send(execution, jobs, window, clock)


def _not_asked_for(execution: Execution) -> dict[Place, list[ServerRun]]:
    """What stands, by place, but for what an engine has asked for since the lease ended."""
    since = execution.terminations.filter(requested_by=ENGINE.name, requested_at__gte=execution.lease_ends_at)
    asked = {each for ids in since.values_list("instance_ids", flat=True) for each in ids}
    return {
        place: [each for each in servers if each.recovery_instance_id not in asked]
        for place, servers in terminable_by_region(execution).items()
    }


def _all(by_place: Mapping[Place, Sequence[ServerRun]]) -> list[ServerRun]:
    return [each for servers in by_place.values() for each in servers]
