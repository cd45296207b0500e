"""The rows of a new run: the plan copied as it is now, its servers cut into DRS jobs and held for this run."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db.models import Prefetch

from audit.actor import Actor
from contract.errors import BadRequest
from drs.client import SERVERS_PER_JOB
from executions.codes.ours import Code
from executions.commands.points_in_time import NEWEST, ChosenSnapshots
from executions.commands.production import ENDED, Consent, require_ending
from executions.measuring import recorded_figures
from executions.models import Execution, LaunchJob, ServerHold, ServerRun, WaveRun
from executions.runs import notifications
from executions.runs.allowed.actions import right_to_start
from executions.runs.allowed.conflicts import refuse_held, refuse_second_run
from executions.runs.gates.waiting import wait_before
from executions.runs.journal import note
from executions.runs.run_numbers import next_number
from executions.states import ExecutionStatus, Kind, WaveStatus
from plans import services as plan_services
from plans import startable
from plans.fields import PLAN, WAVE
from plans.models import RecoveryPlan, Wave, WaveGroup, WaveServer
from protection.models import ProtectionGroup, SourceServer
from protection.scopes.groups import require_groups

# Joined: a prefetch of what rows point at asks for each by an OR of its own, and SQLite takes no thousand of them.
_PLACED = Prefetch("servers", WaveServer.objects.select_related("assignment__group").order_by("position"))
_GROUPS = Prefetch("group_links", WaveGroup.objects.order_by("position"))
_BEFORE = Prefetch("depends_on", Wave.objects.order_by("number"))


def create(
    actor: Actor,
    plan: RecoveryPlan,
    kind: Kind,
    initiated_by: str,
    now: datetime,
    *,
    consent: Consent,
    outage_at: datetime | None = None,
    dry_run: bool = False,
    snapshots: ChosenSnapshots = NEWEST,
) -> Execution:
    """All rows of a new run. The locks keep plan and groups as they are until the run is visible."""
    plan = plan_services.get(plan.pk, for_update=True)
    list(ProtectionGroup.objects.select_for_update().filter(waves__plan=plan).order_by("pk").values_list("pk"))
    waves = list(plan.waves.order_by("number").prefetch_related(_PLACED, _GROUPS, _BEFORE))
    groups = {link.group_id for wave in waves for link in wave.group_links.all()}
    require_groups(actor, *right_to_start(Kind.DRILL if dry_run else kind), groups)
    if not waves:
        raise BadRequest(Code.PLAN_HAS_NO_WAVES, startable.no_waves(plan.name))
    servers = [each.source_server_id for wave in waves for each in wave.servers.all()]
    snapshots.check(set(servers))
    production: dict[str, Any] = {}
    if not dry_run:
        refuse_second_run(plan)
        refuse_held({each.source_server_id: wave.number for wave in waves for each in wave.servers.all()})
        production = require_ending(actor, kind, servers, consent)
    key = uuid.uuid4()
    execution = Execution.objects.create(
        pk=key,
        number=next_number(key),
        plan=plan,
        plan_name=plan.name,
        plan_copy=_frozen(plan, waves),
        kind=kind,
        dry_run=dry_run,
        total_waves=len(waves),
        initiated_by=initiated_by.strip() or actor.name,
        started_by=actor.name,
        # Not the column's default: SQLite writes that in another form, which does not compare with a cursor's time.
        started_at=now,
        outage_at=outage_at,
        snapshots_until=snapshots.at,
        next_step_at=now,
        agreed_instances=production.get(ENDED),
        **PLAN.shared(plan, Execution),
    )
    first, *_ = _copy_waves(execution, plan, waves, snapshots)
    if not dry_run:
        _hold(execution, waves)
    _note_start(actor, execution, plan, production)
    notifications.started(execution, now)
    wait_at_start(execution, first, now)
    return execution


def wait_at_start(execution: Execution, first: WaveRun, now: datetime) -> None:
    """A gate before the first wave is waited at before any engine sees the run. In the transaction of its start."""
    if first.pause_before and first.state is WaveStatus.PENDING and not execution.dry_run:
        execution.status = ExecutionStatus.PAUSED
        execution.save(update_fields=["status"])
        wait_before(execution, first, now)


def _note_start(actor: Actor, execution: Execution, plan: RecoveryPlan, production: Mapping[str, Any]) -> None:
    note(
        execution,
        "execution.start",
        actor=actor,
        before={"activeExecutionId": None},
        after={"activeExecutionId": str(execution.pk), "status": execution.status},
        kind=execution.kind,
        waves=execution.total_waves,
        initiatedBy=execution.initiated_by,
        planVersion=plan.version,
        facts={
            **recorded_figures.start_figures(execution),
            **({"dryRun": True} if execution.dry_run else {}),
            **({"outageTime": execution.outage_at.isoformat()} if execution.outage_at else {}),
            **production,
        },
    )


def _frozen(plan: RecoveryPlan, waves: Sequence[Wave]) -> dict[str, Any]:
    """The plan as it was at the start, for the record."""
    kept = plan_services.as_kept(plan, waves)
    numbered = [{"waveNumber": wave.number, **each} for wave, each in zip(waves, kept["waves"], strict=True)]
    return {"planId": str(plan.pk), **kept, "waves": numbered}


def _said(execution: Execution, plan: RecoveryPlan, wave: Wave) -> dict[str, Any]:
    """What a wave says of itself, its gate as a pause for engines of a version before; the first one's is the start
    gate, of recoveries alone."""
    said = WAVE.shared(wave, WaveRun)
    if wave.number == 0:
        said["gate"] = plan.start_gate if execution.purpose.is_recovery else None
    said["pause_before"] = said["pause_before"] or said["gate"] is not None
    return said


def _copy_waves(
    execution: Execution, plan: RecoveryPlan, waves: Sequence[Wave], snapshots: ChosenSnapshots
) -> list[WaveRun]:
    runs = WaveRun.objects.bulk_create(
        WaveRun(
            execution=execution,
            number=wave.number,
            depends_on=sorted(each.number for each in wave.depends_on.all()),
            **_said(execution, plan, wave),
        )
        for wave in waves
    )
    names = dict(
        SourceServer.objects.filter(pk__in=[s.source_server_id for wave in waves for s in wave.servers.all()])
        .order_by()
        .values_list("pk", "name")
    )
    jobs: list[LaunchJob] = []
    servers: list[ServerRun] = []
    for run, wave in zip(runs, waves, strict=True):
        optional = {each.source_server_id for each in wave.servers.all() if each.optional}
        for job, ids in _jobs_of(run, wave):
            jobs.append(job)
            servers += [
                ServerRun(
                    wave=run,
                    job=job,
                    position=position,
                    source_server_id=each,
                    hostname=names.get(each, each),
                    optional=each in optional,
                )
                for position, each in ids
            ]
    for row in servers:
        snapshots.freeze(row)
    LaunchJob.objects.bulk_create(jobs)
    ServerRun.objects.bulk_create(servers, batch_size=500)
    return runs


def _jobs_of(run: WaveRun, wave: Wave) -> Iterable[tuple[LaunchJob, list[tuple[int, str]]]]:
    """A wave's servers cut into jobs that DRS takes: one account and region each, at most 100 servers."""
    placed = [
        (
            (server.assignment.group.account_id, server.assignment.group.region),
            (position, server.source_server_id),
        )
        for position, server in enumerate(wave.servers.all())
    ]
    position = 0
    for (account, region), members in groupby(sorted(placed), key=lambda each: each[0]):
        ids = [member for _, member in members]
        for at in range(0, len(ids), SERVERS_PER_JOB):
            yield (
                LaunchJob(wave=run, position=position, account_id=account, region=region),
                ids[at : at + SERVERS_PER_JOB],
            )
            position += 1


def _hold(execution: Execution, waves: Sequence[Wave]) -> None:
    ServerHold.objects.bulk_create(
        ServerHold(assignment_id=server.assignment_id, execution=execution, wave_number=wave.number)
        for wave in waves
        for server in wave.servers.all()
    )
