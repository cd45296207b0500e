"""What the sealed journal keeps of a run's figures when they become known, so that a report can be held against it.

`drsorch_verify` compares these members of entries' details: whoever changes a row later is found out. A server is late
when the entry of its wave's end does not have it up: launch times say nothing of that, AWS may tell them long after.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from audit.actor import ENGINE, Actor
from audit.journal import OK
from audit.models import AuditEntry
from contract.clock import unix
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.runs.journal import note
from executions.states import CAME_UP, ExecutionStatus, LaunchStatus, WaveStatus

Launches = dict[str, list[str | int | None]] | None


def start_figures(execution: Execution) -> dict[str, Any]:
    """What a run is measured against, and the snapshots chosen for it, for the entry of its start."""
    return {
        **_snapshots(execution),
        "startTime": unix(execution.started_at),
        "rtoMinutes": execution.rto_minutes,
        "rpoMinutes": execution.rpo_minutes,
        "planDigest": _digest(execution.plan_copy),
    }


def _snapshots(execution: Execution) -> dict[str, Any]:
    """The time from which a run launches, and the digest of the snapshots that its servers are launched from."""
    rows = ServerRun.objects.filter(wave__execution=execution).exclude(recovery_snapshot_id="").order_by()
    chosen = sorted(
        [server, snapshot, unix(at)]
        for server, snapshot, at in rows.values_list("source_server_id", "recovery_snapshot_id", "snapshot_at")
    )
    if not chosen and execution.snapshots_until is None:
        return {}
    return {
        "pointInTime": unix(execution.snapshots_until),
        "snapshotsDigest": _digest(chosen),
    }


def record_wave_end(execution: Execution, wave: WaveRun, now: datetime, actor: Actor = ENGINE) -> None:
    """A wave is over, whoever ended it: when it ran and what became of its servers by then."""
    facts = {
        "wave": wave.number,
        "text": wave.status_message,
        "startTime": unix(wave.started_at),
        "endTime": unix(now),
        "launches": _servers(wave.servers.all()),
        "usable": _usable(wave.servers.all()),
    }
    note(execution, f"wave.{wave.status.lower()}", outcome=wave.error_code or OK, actor=actor, facts=facts)


def ends_of(entries: Iterable[AuditEntry]) -> dict[tuple[str, int], Launches]:
    """What the entries of waves' ends have of their servers, by run and wave; older ones have nothing."""
    ends = (each for each in entries if each.verb in ("wave.completed", "wave.failed") and not each.refused)
    return {(each.subject_id, each.detail["wave"]): each.detail.get("launches") for each in ends}


def is_late(server: ServerRun, wave: WaveRun, told: Launches) -> bool:
    """Launched, and not known to be when the wave ended. `told` is what the entry of its end has; where that has
    nothing, the launch time stands in. `drsorch_verify.derive.is_late` says the same by itself."""
    if not server.state.came_up or server.launched_at is None:
        return False
    if told is not None:
        return told.get(server.source_server_id, [""])[0] not in CAME_UP
    if wave.state is WaveStatus.COMPLETED:
        return False
    return wave.ended_at is None or unix(server.launched_at) >= unix(wave.ended_at)


def late_servers(execution: Execution, waves: Iterable[WaveRun]) -> list[ServerRun]:
    """Servers that are up although their wave had ended without them. No query where no wave has failed."""
    failed = {wave.pk: wave for wave in waves if wave.state is WaveStatus.FAILED}
    if not failed:
        return []
    ends = ends_of(AuditEntry.objects.filter(subject_kind="execution", subject_id=str(execution.pk)))
    up = ServerRun.objects.filter(wave__in=list(failed), launch_status=LaunchStatus.LAUNCHED)
    return [
        each
        for each in up.order_by("wave__number", "position")
        if is_late(each, failed[each.wave_id], ends.get((str(execution.pk), failed[each.wave_id].number)))
    ]


def record_skipped_waves(execution: Execution, waves: Iterable[WaveRun], reason: str, actor: Actor = ENGINE) -> None:
    """Waves that will not run, and why."""
    note(execution, "wave.skipped", actor=actor, waves=[wave.number for wave in waves], text=reason)


def record_run_end(execution: Execution, status: ExecutionStatus, now: datetime, actor: Actor = ENGINE) -> None:
    """A run is over, whoever ended it; and how many of its servers were up by then, late ones of waves before, too."""
    up = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED).count()
    note(execution, "execution.ended", outcome=status.value, actor=actor, endTime=unix(now), launchedServers=up)


def record_server_changes(execution: Execution, job: LaunchJob, servers: Iterable[ServerRun]) -> None:
    """AWS told of servers what their wave's end could not say: late launches, corrected times, points in time."""
    rows = list(servers)
    told = {"wave": job.wave.number, "launch": str(job.pk), "region": job.region, "launches": _servers(rows)}
    note(execution, "launch.news", facts=told | {"usable": _usable(rows)})


def record_launch_end(execution: Execution, job: LaunchJob) -> None:
    """DRS has no more news of a launch: its servers, their snapshots and the digest of its log stand from now on."""
    lines = JobEvent.objects.filter(job=job, source_server_id__in=job.wave.servers.values("source_server_id"))
    log = sorted(
        [server, unix(at), event] for server, at, event in lines.values_list("source_server_id", "at", "event")
    )
    facts = {
        "wave": job.wave.number,
        "launch": str(job.pk),
        "region": job.region,
        "jobId": job.job_id,
        "launches": _servers(job.servers.order_by("position")),
        "usable": _usable(job.servers.order_by("position")),
        "logDigest": _digest(log),
    }
    note(execution, "launch.ended", facts=facts)


def _servers(rows: Iterable[ServerRun]) -> dict[str, list[str | int | None]]:
    """Status, launch time and the point in time of the data, by source server."""
    return {
        each.source_server_id: [each.launch_status, unix(each.launched_at), unix(each.point_in_time)] for each in rows
    }


def _usable(rows: Iterable[ServerRun]) -> dict[str, int | None]:
    """Since when each source server is usable, as far as that was seen by then."""
    return {each.source_server_id: unix(each.usable_at) for each in rows}


def _digest(value: object) -> str:
    """SHA-256 over canonical JSON, as `drsorch_verify.chain` has it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
