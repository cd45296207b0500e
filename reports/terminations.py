"""What became of a run's instances after it: what was asked of DRS, and what still runs."""

from collections.abc import Sequence
from typing import TypedDict

from contract.clock import unix
from executions.measuring.rta_rpa import WaveRows
from executions.models import Execution
from executions.states import LaunchStatus


class CleanupJobShape(TypedDict):
    jobId: str | None
    region: str
    status: str
    instanceIds: list[str]
    requestedBy: str
    requestedTime: int
    errorMessage: str | None


class CleanupShape(TypedDict):
    status: str
    stillRunning: int
    unknownToDrs: list[str]
    jobs: list[CleanupJobShape]


def cleanup(execution: Execution, rows: Sequence[WaveRows]) -> CleanupShape:
    """The terminations of a run read `with_waves`."""
    servers = [server for wave in rows for server in wave.servers]
    running = sum(each.state is LaunchStatus.LAUNCHED and each.can_be_asked_for for each in servers)
    unknown = [each.recovery_instance_id or each.source_server_id for each in servers if each.is_unknown_to_drs]
    jobs = [
        CleanupJobShape(
            jobId=job.job_id or None,
            region=job.region,
            status=job.status,
            instanceIds=job.instance_ids,
            requestedBy=job.requested_by,
            requestedTime=unix(job.requested_at),
            errorMessage=job.error_message or None,
        )
        for job in execution.terminations.all()
    ]
    return CleanupShape(status=execution.termination_status, stillRunning=running, unknownToDrs=unknown, jobs=jobs)
