"""A person gives up on AWS's answer: the way out of a run whose region stays silent, or does not show its job.

The engine concludes nothing from silence, so such a run would hold its servers for as long as the silence lasts. What
was sent is not forgotten: its jobs stay watched, and late instances are recorded as those of a wave that timed out.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from django.db import transaction
from django.db.models import F

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock, utc
from executions.codes.ours import Code
from executions.commands.control import check_comment, require
from executions.measuring import recorded_figures
from executions.measuring.forecast import phase_times
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs import notifications, transitions
from executions.runs.allowed import actions
from executions.runs.allowed.actions import Verb
from executions.runs.allowed.scopes import no_execution
from executions.runs.journal import note
from executions.runs.silence.unresponsive_regions import is_unsaved, silent_jobs, wave_in_flight
from executions.states import JobStatus, LaunchStatus, WaveStatus, roll_up


@attempt("execution.abandon", "execution", subject="execution_id")
def abandon(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """End a run whose wave waits for what AWS has not told for ten minutes; its servers are free at once.

    Raises Forbidden; Invalid; NotFound; BadRequest (EXECUTION_NOT_ABANDONABLE).
    """
    require(actor, Verb.ABANDON, execution_id)
    check_comment(comment)
    with transaction.atomic():
        execution = Execution.objects.select_for_update().filter(pk=execution_id).first()
        if execution is None:
            raise no_execution(execution_id)
        now, before = clock(), execution.status
        actions.is_done(execution, actions.no_abandon(execution, now))
        wave = cast("WaveRun", wave_in_flight(execution))  # without one it is refused
        silent = silent_jobs(execution, wave, now)
        regions = sorted({job.region for job in silent})
        text = _why(execution, regions, min(silent.values()), actor)
        ended, skipped = _end(execution, wave, text, now)
        note(
            execution,
            "execution.abandon",
            actor=actor,
            comment=comment,
            before={"status": before},
            after={"status": execution.status},
            wave=wave.number,
            regions=regions,
            text=text,
        )
        _say_what_ended(actor, execution, ended, skipped, now)
        notifications.ended(execution, now)
    return execution


def _why(execution: Execution, regions: list[str], since: datetime, actor: Actor) -> str:
    if execution.failing_since is None:
        told = "answers, but has not shown the job of this launch"
    else:
        told = "has sent no answer that could be saved" if is_unsaved(execution.aws_error) else "has not answered"
    return (
        f"DRS in {' and '.join(regions)} {told} since {utc(since)}, and"
        f" {actor.name} gave up waiting. AWS may still launch servers; late instances are recorded."
    )


def _say_what_ended(
    actor: Actor, execution: Execution, ended: Sequence[WaveRun], skipped: Sequence[WaveRun], now: datetime
) -> None:
    """The same entries as of every other end: a report is held against them."""
    for wave in ended:
        recorded_figures.record_wave_end(execution, wave, now, actor)
    if skipped:
        recorded_figures.record_skipped_waves(execution, skipped, skipped[0].status_message, actor)
    recorded_figures.record_run_end(execution, execution.state, now, actor)


def _end(execution: Execution, wave: WaveRun, text: str, now: datetime) -> tuple[list[WaveRun], list[WaveRun]]:
    """End the run; answers the waves that were under way and those that will not run."""
    # Of a run that was read from a backup several waves may have begun.
    given_up = [each for each in execution.waves.all() if each.pk == wave.pk or each.state.has_begun]
    LaunchJob.objects.filter(wave__in=given_up, status=JobStatus.QUEUED).update(status=JobStatus.WITHDRAWN)
    for each in given_up:
        each.status, each.ended_at, each.status_message = WaveStatus.FAILED, now, text
        each.error_code, each.error_message = Code.AWS_NOT_ANSWERING, text
        left = each.servers.exclude(launch_status=LaunchStatus.LAUNCHED).filter(excluded__isnull=True)
        if not left.exists():  # a silent region is another wave's
            each.status, each.status_message, each.error_code, each.error_message = WaveStatus.COMPLETED, "", "", ""
        each.save(update_fields=["status", "ended_at", "status_message", "error_code", "error_message"])
    rest = list(execution.waves.filter(status__in=[WaveStatus.PENDING, WaveStatus.PAUSED]))
    failed = next((each.number for each in given_up if each.state is WaveStatus.FAILED), wave.number)
    transitions.skip(rest, f"Wave {failed + 1} was given up, and the run with it.", now)
    servers = ServerRun.objects.filter(wave__execution=execution)
    status = roll_up(
        [each.state for each in execution.waves.all()],
        any_launched=servers.filter(launch_status=LaunchStatus.LAUNCHED).exists(),
        cancelled=execution.cancel_requested_at is not None,
    )
    columns = transitions.end_columns(execution, status, now) | {"next_step_at": now}
    errors = {"error_code": Code.AWS_NOT_ANSWERING, "error_message": text, "phase_times": phase_times(execution)}
    Execution.objects.filter(pk=execution.pk).update(**columns, **errors, revision=F("revision") + 1)
    execution.refresh_from_db()
    transitions.release(execution)
    transitions.touch(execution, now, [*given_up, *rest])
    return given_up, rest
