"""What the page of a run that is over says of its launches: what came up late, and when the last server was up."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from contract.plurals import counted
from executions.measuring.recorded_figures import late_servers
from executions.models import Execution, ServerRun, WaveRun
from executions.querysets import STANDING
from executions.runs.attempts import attempts_among
from executions.states import CAME_UP

NAMED = 5  # how many servers a sentence names


def late_text(execution: Execution, waves: Iterable[WaveRun]) -> str:
    """What came up after it was given up, in a sentence; empty when nothing did."""
    late = late_servers(execution, waves)
    if not late:
        return ""
    more = f" and {len(late) - NAMED} more" if len(late) > NAMED else ""
    names = ", ".join(each.hostname for each in late[:NAMED])
    return f"{counted(len(late), 'server')} came up after the wave had been given up: {names}{more}."


def last_up(execution: Execution) -> datetime | None:
    """When the last server of a run that is over came up, in whichever attempt so far."""
    if execution.ended_at is None or execution.dry_run:
        return None
    tried = attempts_among(execution).filter(attempt__lte=execution.attempt)
    last: datetime | None = ServerRun.objects.filter(wave__execution__in=tried).aggregate(at=Max("launched_at"))["at"]
    return last


@dataclass(frozen=True)
class InAll:
    """What every attempt so far has launched together: a later one counts only the servers that were left."""

    launched: int
    total: int


def launched_in_all(execution: Execution) -> InAll | None:
    """Of a later attempt; each server as the last attempt that had it left it."""
    if execution.attempt < 2 or execution.dry_run:
        return None
    tried = attempts_among(execution).filter(attempt__lte=execution.attempt)
    rows = ServerRun.objects.filter(wave__execution__in=tried).order_by("wave__execution__attempt", "pk")
    states = dict(rows.values_list("source_server_id", "launch_status"))
    return InAll(sum(each in CAME_UP for each in states.values()), len(states))


def left_by_earlier_attempts(execution: Execution) -> str:
    """What attempts before this one launched and nobody has terminated, in a sentence; empty when nothing stands."""
    if execution.attempt < 2:
        return ""
    earlier = attempts_among(execution).filter(attempt__lt=execution.attempt)
    standing = ServerRun.objects.filter(STANDING, wave__execution__in=earlier).count()
    if not standing:
        return ""
    if execution.purpose.is_recovery:
        runs = "runs" if standing == 1 else "run"
        return f"{counted(standing, 'instance')} that earlier attempts launched {runs}, for production."
    runs = "instance runs" if standing == 1 else "instances run"
    return f"{standing} {runs} that earlier attempts launched: terminate them on the page of that attempt."
