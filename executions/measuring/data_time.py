"""Of when the data of a launched server is."""

from datetime import datetime

from contract.clock import unix
from executions.models import LaunchJob, ServerRun

CLOCKS_DIFFER = 60  # seconds by which a snapshot that was taken for a launch may seem older than its intent


def point_of(row: ServerRun) -> datetime | None:
    """Of when the data of a server is: a snapshot that was chosen is what it was launched from, unless DRS says that
    it was launched from another one."""
    told, chosen = row.point_in_time, row.snapshot_at
    if chosen is None or (told is not None and abs(unix(told) - unix(chosen)) > CLOCKS_DIFFER):
        return told
    return chosen


def lag_of(row: ServerRun, job: LaunchJob) -> int:
    """A snapshot that was taken for this launch has data as old as the source's lag when the launch was sent. An
    earlier one is as old as DRS says, as is a chosen one; of a lag that is not known nothing is added."""
    point, intent = row.point_in_time, job.intent_at
    if (
        row.used_previous_snapshot
        or row.recovery_snapshot_id
        or row.lag_seconds is None
        or point is None
        or intent is None
    ):
        return 0
    return row.lag_seconds if unix(point) - job.aws_ahead_seconds >= unix(intent) - CLOCKS_DIFFER else 0
