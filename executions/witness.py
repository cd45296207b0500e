"""What the sealed journal keeps of a run's figures when they become known, so that a report can be held against it.

`drsorch_verify` compares these members of entries' details: whoever changes a row later is found out.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import unix
from executions.models import Execution, JobEvent, LaunchJob, ServerRun


def promised(execution: Execution) -> dict[str, Any]:
    """What a run is measured against, for the entry of its start."""
    return {
        "startTime": unix(execution.started_at),
        "rtoMinutes": execution.rto_minutes,
        "rpoMinutes": execution.rpo_minutes,
        "planDigest": _digest(execution.plan_copy),
    }


def wave_facts(wave_started_at: datetime | None, now: datetime, servers: Iterable[ServerRun]) -> dict[str, Any]:
    """When a wave ran and what became of its servers by then."""
    return {"startTime": unix(wave_started_at), "endTime": unix(now), "launches": _servers(servers)}


def say_ended(execution: Execution, job: LaunchJob) -> None:
    """DRS has no more news of a launch: its servers, their snapshots and the digest of its log stand from now on."""
    lines = JobEvent.objects.filter(job=job, source_server_id__in=job.servers.values("source_server_id"))
    log = sorted(
        [server, unix(at), event] for server, at, event in lines.values_list("source_server_id", "at", "event")
    )
    record(
        ENGINE,
        "launch.ended",
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        detail={
            "wave": job.wave.number,
            "launch": str(job.pk),
            "region": job.region,
            "jobId": job.job_id,
            "launches": _servers(job.servers.order_by("position")),
            "logDigest": _digest(log),
        },
    )


def _servers(rows: Iterable[ServerRun]) -> dict[str, list[str | int | None]]:
    """Status, launch time and the point in time of the data, by source server."""
    return {
        each.source_server_id: [each.launch_status, unix(each.launched_at), unix(each.point_in_time)] for each in rows
    }


def _digest(value: object) -> str:
    """SHA-256 over canonical JSON, as `drsorch_verify.chain` has it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
