"""What the page of a run that is over says of its launches: what came up late, and when the last server was up."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Max

from contract.plurals import counted
from executions.measuring.recorded_figures import late_servers
from executions.models import Execution, ServerRun, WaveRun
from executions.runs.attempts import attempts_among

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
