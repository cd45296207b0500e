"""Rows that pages are shown from, made without AWS and without an engine."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from audit.actor import SYSTEM
from contract.names import name_key
from executions.commands import control
from executions.models import Execution, JobEvent, Pacemaker, WaveRun
from executions.runs.transitions import touch
from executions.states import ExecutionStatus, Kind, LaunchStatus, Phase, WaveStatus
from notify import services as notify
from notify.models import Delivery, Subscription
from notify.outbox import Message, put
from notify.services import Wanted
from notify.states import OF_RUNS, Event
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.inventory.recovery_instances import InstancesKnown
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer

numbers = itertools.count(1)
ACCOUNT = "111122223333"  # the simulator's, too
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:recovery"
EVIL = "<b onclick=x()>Evil</b> & \"co\" 'x' {{ 7 }}"


def server(name: str = "", region: str = "us-east-1", state: str = "CONTINUOUS") -> str:
    """A row of the inventory; answers its id."""
    key = f"s-{next(numbers):017x}"
    SourceServer.objects.create(
        pk=key,
        account_id=ACCOUNT,
        region=region,
        name=name or f"host-{key[-4:]}",
        replication_state=state,
        lag_seconds=3,
        seen_at=timezone.now(),
    )
    return key


def region(name: str = "us-east-1", *, age_seconds: int = 10, **columns: object) -> RegionInventory:
    now = timezone.now()
    defaults = {"tried_at": now, "as_of": now - timedelta(seconds=age_seconds), **columns}
    return RegionInventory.objects.update_or_create(region=name, defaults=defaults)[0]


def group(name: str, servers: Sequence[str], region: str = "us-east-1") -> ProtectionGroup:
    made = ProtectionGroup.objects.create(
        name=name, name_key=name_key(name), region=region, account_id=ACCOUNT, owner="planner@example.com"
    )
    ServerAssignment.objects.bulk_create(
        ServerAssignment(group=made, source_server_id=each, position=at) for at, each in enumerate(servers)
    )
    return made


def plan(name: str = "", sizes: Sequence[int] = (2, 2), pause: int | None = 1) -> RecoveryPlan:
    """A plan with a group and a wave for each size; a pause before the wave `pause`."""
    name = name or f"Plan {next(numbers)}"
    waves, short = [], name[:110]
    for at, size in enumerate(sizes):
        ids = [server(f"{short} server {at}-{number}") for number in range(size)]
        home = group(f"{short} group {at}", ids)
        waves.append(WaveSpec(f"{short} tier {at + 1}", [home.pk], ids, pause_before=at == pause))
    return create_plan(actor=SYSTEM, name=name, waves=waves)


def sharing(run: Execution, name: str = "", wave: int = 0) -> RecoveryPlan:
    """A plan for the servers that a run has in one of its waves."""
    servers = list(run.waves.get(number=wave).servers.values_list("source_server_id", flat=True))
    groups = ProtectionGroup.objects.filter(assignments__source_server_id__in=servers).distinct()
    wanted = WaveSpec("All", [each.pk for each in groups], servers)
    return create_plan(actor=SYSTEM, name=name or f"Plan {next(numbers)}", waves=[wanted])


def start(of: RecoveryPlan, kind: Kind = Kind.DRILL) -> Execution:
    return control.start(actor=SYSTEM, plan_id=of.pk, kind=kind, looked=InstancesKnown())


def change(execution: Execution, *waves: WaveRun, **columns: object) -> Execution:
    """Change a run as an engine does: with a new revision for it and for the waves that changed."""
    Execution.objects.filter(pk=execution.pk).update(**columns)
    touch(execution, timezone.now(), waves)
    return Execution.objects.get(pk=execution.pk)


def launch(wave: WaveRun, *, fail: str = "", end: bool = True) -> WaveRun:
    """Let a wave launch all its servers; with `fail`, the first fails with that text."""
    now = timezone.now()
    wave.started_at = now - timedelta(minutes=6)
    wave.status = WaveStatus.LAUNCHING
    if end:
        wave.status, wave.ended_at = (WaveStatus.FAILED if fail else WaveStatus.COMPLETED), now
    wave.save()
    for at, each in enumerate(wave.servers.all()):
        failed = bool(fail) and at == 0
        each.launch_status = LaunchStatus.FAILED if failed else LaunchStatus.LAUNCHED
        each.phase, each.error = Phase.DONE, fail if failed else ""
        each.recovery_instance_id = "" if failed else f"i-{next(numbers):017x}"
        each.launched_at = None if failed else now
        each.save()
    job = wave.jobs.get()
    job.job_id, job.status = f"drsjob-{next(numbers):017x}", "COMPLETED"
    job.save()
    JobEvent.objects.create(job=job, at=now, event="LAUNCH_START", digest=uuid.uuid4().hex)
    return wave


def in_a_year() -> datetime:
    """When a paused run is looked at, if nobody comes."""
    return timezone.now() + timedelta(days=365)


def paused(name: str = "") -> Execution:
    """A run of two waves that waits before its second."""
    execution = start(plan(name))
    first, second = execution.waves.all()
    launch(first)
    second.status, second.paused_at = WaveStatus.PAUSED, timezone.now() - timedelta(minutes=4)
    second.save()
    return change(execution, first, second, status=ExecutionStatus.PAUSED, next_step_at=in_a_year())


def ended(status: ExecutionStatus, name: str = "", *, fail: str = "", sizes: Sequence[int] = (2, 2)) -> Execution:
    execution = start(plan(name, sizes))
    waves = list(execution.waves.all())
    for at, wave in enumerate(waves):
        launch(wave, fail=fail if at else "")
    execution.holds.all().delete()
    return change(execution, *waves, status=status, ended_at=timezone.now(), next_step_at=None)


def subscription(name: str = "On call", **wanted: object) -> Subscription:
    """Somebody who is told of everything, unless `wanted` says otherwise."""
    given = {"channel": "SNS", "target": TOPIC, "plan_id": None, "events": list(OF_RUNS), **wanted}
    return notify.create(actor=SYSTEM, name=name, wanted=Wanted(name, **given)).subscription  # type: ignore[arg-type]


def delivery(of: Subscription, subject: str = "Drill of Payments waits") -> Delivery:
    """A notification that was not delivered yet."""
    message = Message(subject, "Text", {"event": "PAUSED"})
    return put(Event.PAUSED, [of], message, at=timezone.now()).deliveries.get()


def beat(at: datetime | None = None) -> None:
    """An engine sent a heartbeat."""
    Pacemaker.objects.update_or_create(pk=1, defaults={"beat_at": at or timezone.now()})


def launch_log(wave: WaveRun, lines: int) -> None:
    """Lines in the log of a wave's job, one after the other."""
    job, now = wave.jobs.all()[0], timezone.now()
    ids = [each.source_server_id for each in wave.servers.all()]
    JobEvent.objects.bulk_create(
        JobEvent(
            job=job,
            at=now + timedelta(milliseconds=at),
            event="SNAPSHOT_START" if at % 2 else "CONVERSION_START",
            source_server_id=ids[at % len(ids)],
            digest=uuid.uuid4().hex,
        )
        for at in range(lines)
    )
