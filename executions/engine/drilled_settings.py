"""With which launch settings a drill launched: read right after the launch was sent, and frozen with the drill.

Not before: a reading may be an hour old by then, and one in the path of a launch would cost it minutes. DRS may write
the instance type into the template meanwhile where it chooses the type, which no comparison counts (likely).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.models import Execution, ServerRun
from executions.states import Kind

FROZEN_WITHIN = timedelta(hours=1)  # later somebody may have changed them since the launch
NONE = "none"  # DRS has no settings of it, so nobody asks again


@dataclass(frozen=True)
class Launched:
    """A server's row, and which launch of it: a wave that is tried again launches by another job."""

    row: int
    job: uuid.UUID


def unread(region: str, account: str, now: datetime) -> dict[str, Launched]:
    """The servers of this place that drills have launched lately and whose settings were not read since, the first
    launched first, with the rows that wait for them."""
    drills = Execution.objects.active().filter(kind=Kind.DRILL, dry_run=False)
    if not (active := list(drills.order_by().values_list("pk", flat=True))):
        return {}
    rows = ServerRun.objects.filter(
        wave__execution__in=active,
        job__recorded_at__gt=now - FROZEN_WITHIN,
        job__region=region,
        job__account_id=account,
        launch_digest="",
    )
    found = rows.order_by("job__recorded_at", "pk").values_list("source_server_id", "pk", "job_id")
    return {server: Launched(pk, job) for server, pk, job in found}


def freeze(launched: Launched, digest: str) -> None:
    rows = ServerRun.objects.filter(pk=launched.row, job=launched.job, launch_digest="")
    rows.update(launch_digest=digest or NONE)
