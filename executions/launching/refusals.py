"""What becomes of a launch that AWS certainly did not take, written down: sent later, rejected, or split.

One bad server never keeps the others of its job down: it is taken out, and the others are sent again as a job of their
own. The rows are moved in one transaction before anything is sent; the refused job has launched nothing.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from drs.errors import DrsError, Trouble
from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.account_check import no_longer_waits
from executions.runs.claim import ClaimLost, Run
from executions.runs.journal import note
from executions.runs.retry_policy import count_refusal, is_out_of_time
from executions.states import WAVE_BEGUN, ExecutionStatus, JobStatus, LaunchStatus, Phase, WaveStatus

WAITING = "Waiting for another DRS job to end"
WAITED = "Another DRS job did not end in time"  # the same when it is given up
GONE = (
    "It is no longer in DRS: DRS does not list this source server. It was removed from DRS, or its agent was"
    " installed anew and the server has another id now."
)


NAMED = 3  # how many reasons an entry of the journal tells


@dataclass(frozen=True)
class Part:
    """Some servers of a refused job. With an `error_code` they have failed; with `waits` they are, or may be, busy in
    another DRS job, and wait `without_limit` if that job is ours; else they are sent at once."""

    servers: Sequence[str]
    error_code: str = ""
    text: str = ""
    waits: bool = False
    without_limit: bool = False


def halves(servers: Sequence[str], *, waits: bool = False) -> list[Part]:
    """Nothing shows which server it is: try each half by itself; one that may be free soon a little later."""
    middle = (len(servers) + 1) // 2
    return [Part(servers[:middle], waits=waits), Part(servers[middle:], waits=waits)]


def excluding(servers: Sequence[str], bad: Collection[str], code: str, text: str) -> list[Part]:
    """The bad ones, which fail, and the others, which are sent again."""
    rest = [each for each in servers if each not in bad]
    return [Part(rest), Part([each for each in servers if each in bad], code, text)]


def set_wave_message(run: Run, wave: WaveRun, message: str, now: datetime) -> None:
    """Show why the wave waits; only a new reason counts as a change, and it replaces another engine's."""
    begun = WaveRun.objects.filter(pk=wave.pk, status__in=WAVE_BEGUN)
    if begun.exclude(status_message=message).update(status_message=message):
        transitions.touch(run.execution, now, [wave])


def start_wave(run: Run, wave: WaveRun, now: datetime) -> None:
    """A wave starts with its first recorded intent, or with the first launch that is found of it."""
    if not wave.state.has_begun:
        wave.status, wave.started_at = WaveStatus.INITIATED, now
        wave.save(update_fields=["status", "started_at"])
        note_start(run, wave)


def note_start(run: Run, wave: WaveRun) -> None:
    """A wave begins to launch."""
    note(run.execution, "wave.started", wave=wave.number, attempt=wave.attempt)


def retry_later(
    run: Run,
    wave: WaveRun,
    job: LaunchJob,
    error: DrsError,
    message: str,
    now: datetime,
    *,
    without_limit: bool = False,
    rest: timedelta | None = None,
) -> None:
    """Certainly nothing was launched: try again, for half an hour. Throttling alone never fails a wave, nor do
    credentials of another account: AWS was not even asked."""
    without_limit = without_limit or error.trouble in (Trouble.THROTTLED, Trouble.OTHER_ACCOUNT)
    count_refusal(job, error.trouble, now, without_limit=without_limit)
    if is_out_of_time(job, now):
        code = Code.DRS_QUOTA_EXCEEDED if error.trouble is Trouble.QUOTA else Code.LAUNCH_REJECTED
        told = message.replace(WAITING, WAITED) if error.trouble is Trouble.CONFLICT else error.message
        reject(run, wave, job, code, error.with_code(told), now)
        return
    wait = rest or d.backoff(min(job.attempt - 1, 8), settings.POLL_SECONDS)
    wait = max(wait, timedelta(seconds=error.rest))
    requeue(run, wave, job, now, not_before=now + wait, message=message, verb="launch.refused", outcome=error.code)


def requeue(
    run: Run,
    wave: WaveRun,
    job: LaunchJob,
    now: datetime,
    *,
    not_before: datetime,
    message: str,
    verb: str,
    outcome: str = "ok",
) -> None:
    """The job may be sent again, from `not_before` on; of a run that is over it never will be."""
    with transaction.atomic():
        over = _lock_run(run)
        refused = {"refused_since": job.refused_since, "refused_as": job.refused_as, "cleared_at": job.cleared_at}
        status = JobStatus.WITHDRAWN if over else JobStatus.QUEUED
        if over is None or not _unanswered(job).update(status=status, not_before=not_before, **refused):
            return
        set_wave_message(run, wave, message, now)
        note(
            run.execution,
            verb,
            outcome=outcome,
            wave=wave.number,
            launch=str(job.pk),
            attempt=job.attempt,
            text=message,
        )


def reject(run: Run, wave: WaveRun, job: LaunchJob, code: str, text: str, now: datetime) -> None:
    """AWS will not take this launch: its servers have failed, with AWS's own words."""
    with transaction.atomic():
        rejected = {"status": JobStatus.REJECTED, "error_code": code, "error_message": text}
        if _lock_run(run) is None or not _unanswered(job).update(**rejected):
            return
        _fail(job, code, text)
        transitions.touch(run.execution, now, [wave])
        note(run.execution, "launch.rejected", outcome=code, wave=wave.number, launch=str(job.pk), text=text)


def split(
    run: Run, wave: WaveRun, job: LaunchJob, parts: Sequence[Part], error: DrsError, message: str, now: datetime
) -> None:
    """AWS has refused this attempt: each part goes on as a job of its own. `message` is why some of them wait."""
    with transaction.atomic():
        over = _lock_run(run)
        if over is None or not _unanswered(job).update(status=JobStatus.REJECTED, error_message=_split_message(error)):
            return
        _create_parts(run, wave, job, parts, error.code, now, over=over)
        set_wave_message(run, wave, message, now)


def _split_message(error: DrsError) -> str:
    return f"{error.code}: {error.message} Refused as a whole; its servers were moved to other jobs."


def _create_parts(
    run: Run, wave: WaveRun, job: LaunchJob, parts: Sequence[Part], outcome: str, now: datetime, *, over: bool
) -> None:
    """Move the servers to new rows, whose ids are the tags by which their launches are found."""
    made = [_create_part(job, part, now, over=over) for part in parts]
    transitions.touch(run.execution, now, [wave])
    told = [
        {"launch": str(new.pk), "status": new.status, "servers": list(part.servers)}
        for new, part in zip(made, parts, strict=True)
    ]
    note(run.execution, "launch.split", outcome=outcome, wave=wave.number, launch=str(job.pk), parts=told)


def _create_part(job: LaunchJob, part: Part, now: datetime, *, over: bool) -> LaunchJob:
    last: int = LaunchJob.objects.filter(wave=job.wave_id).aggregate(last=Max("position"))["last"]
    made = LaunchJob(wave_id=job.wave_id, position=last + 1, account_id=job.account_id, region=job.region)
    made.status = JobStatus.WITHDRAWN if over else JobStatus.QUEUED
    # How long it has been refused counts anew: of these servers nobody knows yet that they are not taken.
    made.refused_as, made.cleared_at = job.refused_as, job.cleared_at
    if part.error_code:
        made.status, made.error_code, made.error_message = JobStatus.REJECTED, part.error_code, part.text
    elif part.waits:
        count_refusal(made, Trouble.CONFLICT, now, without_limit=part.without_limit)
        made.not_before = now + d.backoff(0, settings.POLL_SECONDS)
    made.save(force_insert=True)
    ServerRun.objects.filter(job=job, source_server_id__in=part.servers).update(job=made)
    if part.error_code:
        _fail(made, part.error_code, part.text)
    return made


def recreate_part(job: LaunchJob, servers: QuerySet[ServerRun], key: uuid.UUID) -> None:
    """A part that a lost database had made: a row under its own id, in doubt until it is looked for."""
    last: int = LaunchJob.objects.filter(wave=job.wave_id).aggregate(last=Max("position"))["last"]
    made = LaunchJob(pk=key, wave_id=job.wave_id, position=last + 1, account_id=job.account_id, region=job.region)
    made.status, made.attempt = JobStatus.INITIATED, 1
    made.save(force_insert=True)
    servers.update(job=made)
    if not job.servers.exists():
        text = "Its servers had been moved to other jobs before the database was lost."
        LaunchJob.objects.filter(pk=job.pk).update(status=JobStatus.REJECTED, error_message=text)


def _unsent(run: Run, job: LaunchJob, now: datetime) -> QuerySet[LaunchJob]:
    """The launch, which nobody has sent yet, for whoever has the run. Raises ClaimLost."""
    run.write(now)
    mine = LaunchJob.objects.select_for_update().filter(
        pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt, job_id=""
    )
    if not mine.exists():
        raise ClaimLost
    return mine


def leave_out(run: Run, wave: WaveRun, job: LaunchJob, parts: Sequence[Part], now: datetime) -> bool:
    """These have failed before the others are sent, for one reason, whose words may differ. True when nothing is left
    to send. Raises ClaimLost."""
    servers = [server for each in parts for server in each.servers]
    code, text = parts[0].error_code, parts[0].text
    with transaction.atomic():
        mine = _unsent(run, job, now)
        every = job.servers.count() == len(servers)
        for part in parts[1:] if every else parts:
            _create_part(job, part, now, over=False)
        if every:
            no_longer_waits(run, job, now)
            mine.update(status=JobStatus.REJECTED, error_code=code, error_message=text)
            _fail(job, code, text)
            start_wave(run, wave, now)
        transitions.touch(run.execution, now, [wave])
        note(
            run.execution,
            "launch.left_out",
            outcome=code,
            wave=wave.number,
            launch=str(job.pk),
            region=job.region,
            servers=servers,
            text=" ".join(dict.fromkeys(each.text for each in parts[:NAMED])),
        )
    return every


def hold(run: Run, wave: WaveRun, job: LaunchJob, servers: Sequence[str], message: str, now: datetime) -> None:
    """These wait, before anything is sent, for what is not ours and ends by itself; the job goes on with the others.
    Raises ClaimLost."""
    with transaction.atomic():
        mine = _unsent(run, job, now)
        start_wave(run, wave, now)
        if job.servers.count() == len(servers):
            no_longer_waits(run, job, now)
            later = d.next_poll_slot(now, settings.POLL_SECONDS)
            mine.update(not_before=later, refused_as=Trouble.CONFLICT.name, refused_since=None)
        else:
            _create_part(job, Part(servers, waits=True, without_limit=True), now, over=False)
        if job.refused_as != Trouble.CONFLICT.name:  # told once, however often it is looked at again
            note(
                run.execution,
                "launch.held",
                outcome=Code.SERVER_CONFLICT,
                wave=wave.number,
                launch=str(job.pk),
                region=job.region,
                servers=list(servers),
                text=message,
            )
        set_wave_message(run, wave, message, now)


def _fail(job: LaunchJob, code: str, text: str) -> None:
    job.servers.update(launch_status=LaunchStatus.FAILED, phase=Phase.DONE, error=text, error_code=code)


# What is certain of an attempt is not guarded by the claim, as little as a job id: whoever has the run by now would
# have to wait until no request can land any more. It is guarded by the attempt.


def _lock_run(run: Run) -> bool | None:
    """Lock the run and say whether it is over; None where an answer of before a restore, or to a run that is gone,
    says nothing."""
    rows = Execution.objects.select_for_update().filter(pk=run.execution.pk, restored_at=None)
    return next((ExecutionStatus.of(each).is_final for each in rows.values_list("status", flat=True)), None)


def _unanswered(job: LaunchJob) -> QuerySet[LaunchJob]:
    """The launch, as long as nobody has found out what became of this attempt."""
    return LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, attempt=job.attempt, job_id="")


def waiting_for(error: DrsError) -> str:
    """Why a launch waits, in a sentence for the wave."""
    trouble = error.trouble
    match trouble:
        case Trouble.THROTTLED:
            asked = f" and asks to be left alone for {error.rest:.0f} s" if error.rest else ""
            return f"AWS is throttling launches in {error.where}{asked}; retrying."
        case Trouble.OTHER_ACCOUNT:
            return error.message
        case Trouble.CREDENTIALS:
            return f"The AWS credentials are not accepted in {error.where}: {error.message}"
        case Trouble.KEY_OR_REGION:
            return (
                f"AWS does not know the access key, because it was deleted or replaced, or because {error.where} is"
                f" not enabled for the account; retrying. ({error.message})"
            )
        case Trouble.NOT_SENT:
            return "This engine was delayed for too long to send the launch safely; retrying."
        case Trouble.UNREACHABLE | Trouble.UNCERTAIN:
            return f"DRS in {error.where} cannot be reached ({error.code}); retrying."
        case (
            Trouble.CONFLICT
            | Trouble.QUOTA
            | Trouble.ACCESS_DENIED
            | Trouble.INVALID
            | Trouble.NOT_FOUND
            | Trouble.REFUSED
            | Trouble.NOT_INITIALIZED
            | Trouble.REGION_NOT_ENABLED
        ):
            return f"DRS refuses ({error.code}: {error.message}); retrying."
        case _:
            assert_never(trouble)
