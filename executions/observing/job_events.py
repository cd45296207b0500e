"""Lines of a DRS job's log as rows, and those that DRS does not send."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from audit.safe_text import storable
from drs.shapes import JobLogItem
from executions.models import JobEvent, LaunchJob, ServerRun


def digest_of(item: JobLogItem) -> str:
    """What tells a line from all others of its log."""
    return _digest(item.at.isoformat() if item.dated else "", item.event, item.data)


def event_of(job: LaunchJob, item: JobLogItem, digest: str) -> JobEvent:
    """The row of a line."""
    return JobEvent(
        job=job,
        at=item.at,
        event=storable(item.event)[:64],
        source_server_id=storable(item.source_server_id)[:19],
        data=storable(item.data),
        digest=digest,
    )


def derived_launch_ends(job: LaunchJob, servers: Sequence[ServerRun], lines: Sequence[JobLogItem]) -> list[JobEvent]:
    """DRS's published events have no LAUNCH_END: derive it from LAUNCHED where the log has none."""
    told = {item.source_server_id for item in lines if item.event == "LAUNCH_END"}
    return [
        JobEvent(
            job=job,
            at=server.launched_at,
            event="LAUNCH_END",
            source_server_id=server.source_server_id,
            derived=True,
            digest=_digest("derived", "LAUNCH_END", {"sourceServerID": server.source_server_id}),
        )
        for server in servers
        if server.launched_at is not None and server.source_server_id not in told
    ]


def _digest(at: str, event: str, data: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps([at, event, data], sort_keys=True, default=str).encode()).hexdigest()
