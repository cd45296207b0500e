"""Gives up servers that launched and were not up in time, as their wave asks for."""

from datetime import datetime, timedelta

from django.db import transaction

from executions.models import WaveRun
from executions.observing.server_outcome import NOT_USABLE_COLUMNS, fail_not_usable, not_up_as
from executions.observing.usable import not_up_in_time
from executions.runs import transitions
from executions.runs.claim import Run, unproven_servers
from executions.states import InstanceState


def give_up(run: Run, wave: WaveRun, now: datetime) -> None:
    """Fail those whose time is over; each keeps its instance, and can be launched again or terminated."""
    limit = timedelta(minutes=wave.check_timeout_minutes)
    with transaction.atomic():
        run.write(now)
        for server, view in unproven_servers(wave):
            if view.is_overdue(limit):
                is_stopped = server.standing_state == InstanceState.STOPPED
                in_time = not_up_in_time(server, wave.means, wave.check_timeout_minutes)
                fail_not_usable(server, not_up_as(server) if is_stopped else in_time)
                server.save(update_fields=NOT_USABLE_COLUMNS)
        transitions.touch(run.execution, now, [wave])
