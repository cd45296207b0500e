"""Servers that run on an earlier snapshot, because none could be taken for their launch: with which data, and how far
that is behind the others'."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min

from console.templatetags.console import duration_text
from contract.clock import unix, utc
from executions.models import Execution, ServerRun
from executions.states import LaunchStatus


@dataclass(frozen=True)
class OldData:
    """One server, when its data is of, and of when the oldest of the others' is; None where DRS has not told."""

    hostname: str
    wave: int
    of: datetime | None
    others: datetime | None

    @property
    def text(self) -> str:
        """As the problem that it is."""
        if self.of is None:
            return "Runs on an earlier snapshot, because none could be taken for this launch. Of when is not known yet."
        behind = 0 if self.others is None else unix(self.others) - unix(self.of)
        older = f", {duration_text(timedelta(seconds=behind))} older than the others" if behind > 0 else ""
        return f"Runs on data of {utc(self.of)}{older}, because no snapshot could be taken for this launch."


def old_data(execution: Execution) -> list[OldData]:
    """Those of a run, in its order. Asked only where some are counted."""
    up = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED)
    others = up.filter(used_previous_snapshot=False).aggregate(at=Min("point_in_time"))["at"]
    found = up.filter(used_previous_snapshot=True).select_related("wave").order_by("wave__number", "position")
    return [OldData(each.hostname, each.wave.number, each.point_in_time, others) for each in found]


def in_banner(found: "list[OldData]") -> str:
    """The same for the sentence on top; empty when there is none."""
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0].hostname} runs on older data, see below."
    return f"{len(found)} servers run on older data, see below."
