"""The recovery time to the last server that is usable, beside the one to the last that launched. Rows in, figures out.

`drsorch_verify.came_up` derives the same by itself.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

from contract.clock import unix
from executions.measuring.rta_rpa import Measured, ServerFigures, Verdict, WaveRows
from executions.models import Execution, ServerRun
from executions.states import Reached


class EvidenceShape(TypedDict):
    """From which snapshot a server was to be launched, if one was chosen, and what EC2 and DRS said of its instance.
    `usableTime`: status checks passed, required post-launch actions done; at
    most `usableObservedLate` seconds before."""

    instanceState: str | None
    statusChecks: dict[str, str] | None
    launchActions: list[dict[str, Any]]
    usableTime: int | None
    usableObservedLate: int | None
    recoverySnapshotId: str | None
    snapshotTime: int | None


def evidence(row: ServerRun) -> EvidenceShape:
    return EvidenceShape(
        instanceState=row.instance_state or None,
        statusChecks=row.status_checks,
        launchActions=row.launch_actions or [],
        usableTime=unix(row.usable_at),
        usableObservedLate=row.usable_late if row.usable_at else None,
        recoverySnapshotId=row.recovery_snapshot_id or None,
        snapshotTime=unix(row.snapshot_at),
    )


def usable_rto(execution: Execution, figures: Measured, attempts: Sequence[Sequence[WaveRows]]) -> Verdict:
    """Against the same target, from the same moment. `attempts` are the waves of each."""
    waves = [wave for each in attempts for wave in each]
    target = None if execution.rto_minutes is None else 60 * execution.rto_minutes
    times = [each.row.usable_at for each in figures.servers if each.launched and each.row.usable_at]
    if not times or len(times) < len(figures.servers):
        reached = Reached.NO_TARGET if target is None else _why_not(execution, figures.servers, waves)
        return Verdict(reached, None, target)
    seconds = max(0, unix(max(times)) - unix(figures.reference))
    if target is None:
        return Verdict(Reached.NO_TARGET, seconds, None)
    if seconds > target:
        return Verdict(Reached.MISSED, seconds, target, seconds - target)
    return Verdict(Reached.MET, seconds, target)


def _why_not(execution: Execution, servers: Sequence[ServerFigures], waves: Sequence[WaveRows]) -> Reached:
    if not execution.state.is_final:
        return Reached.UNKNOWN
    if not all(each.launched for each in servers):
        return Reached.NOT_REACHED
    watched = {job.pk for wave in waves for job in wave.jobs if job.watched and job.job_id}
    missing = [each.row for each in servers if each.row.usable_at is None]
    if any(each.job_id in watched for each in missing):
        return Reached.READING
    unknown = any("UNKNOWN" in (each.status_checks or {"": "UNKNOWN"}).values() for each in missing)
    return Reached.UNKNOWN if unknown else Reached.NOT_REACHED
