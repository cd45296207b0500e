"""Launching servers exactly once, although StartRecovery has no idempotency token.

Intent committed, then the call, then the job id committed. What was intended and never confirmed is looked up at
DRS by its tag before anything is sent again, and sent again only when no earlier request can still be accepted.
"""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import Job
from executions import decide as d
from executions import transitions
from executions.models import LaunchJob, WaveRun
from executions.run import Lost, Run, journal
from executions.states import JobStatus, Kind, LaunchStatus, Phase, WaveStatus

LAUNCH_TAG = "drsorch:launch"
EXECUTION_TAG = "drsorch:execution"
GIVE_UP_AFTER = timedelta(minutes=30)
LOOK_BACK = timedelta(minutes=10)  # before the intent, for clocks that differ

_FATAL_CODES = {
    Trouble.ACCESS_DENIED: "DRS_ACCESS_DENIED",
    Trouble.NOT_INITIALIZED: "REGION_NOT_INITIALIZED",
    Trouble.REGION_NOT_ENABLED: "REGION_NOT_INITIALIZED",
}


def launch(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> None:
    """Send one job of a wave. Raises Lost when the run was taken over before the intent was recorded."""
    job = LaunchJob.objects.get(pk=job_id)
    if job.attempt and _adopt_if_found(run, wave, job, clock):
        return
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intent is dated, so it never ends too late
    now = clock()
    _record_intent(run, wave, job, now)
    try:
        answer = Drs(job.region).start_recovery(
            list(job.servers.order_by("position").values_list("source_server_id", flat=True)),
            is_drill=run.execution.purpose is Kind.DRILL,
            tags={LAUNCH_TAG: str(job.pk), EXECUTION_TAG: str(run.execution.pk)},
            window=window,
        )
    except DrsError as error:
        _after_failure(run, wave, job, error, clock)
    else:
        adopt(run, wave, job, answer, clock())


def _record_intent(run: Run, wave: WaveRun, job: LaunchJob, now: datetime) -> None:
    """Commit that this job is about to be sent: from here on it must be looked for before it is sent again."""
    with transaction.atomic():
        if run.execution.cancel_requested_at is None:
            run.keep(now, status=d.running_status(wave.state, cancelled=False))
        else:
            run.keep(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt)
        if not mine.update(status=JobStatus.INITIATED, attempt=job.attempt + 1, intent_at=now, not_before=None):
            raise Lost
        job.status, job.attempt, job.intent_at = JobStatus.INITIATED, job.attempt + 1, now
        if not wave.state.has_begun:
            wave.status, wave.started_at = WaveStatus.INITIATED, now
            wave.save(update_fields=["status", "started_at"])
        transitions.touch(run.execution, now, [wave])
        journal(run, "launch.intent", wave=wave.number, launch=str(job.pk), region=job.region, attempt=job.attempt)


def adopt(run: Run, wave: WaveRun, job: LaunchJob, found: Job, now: datetime) -> None:
    """Record the DRS job of a launch. Not guarded by the claim: a job id is never thrown away."""
    with transaction.atomic():
        unrecorded = LaunchJob.objects.filter(pk=job.pk, job_id="")
        done = unrecorded.update(
            job_id=found.job_id,
            status=JobStatus.of(found.status),
            created_at=found.created_at,
            seen_at=now,
            watched=True,
            not_before=None,
            refused_since=None,
        )
        if not done:
            return
        # The deadline counts from the job's own creation, so that adopting it late does not lengthen the wave; AWS's
        # clock is believed only as far as it agrees with ours, which dated the intent.
        created = min(max(found.created_at, job.intent_at or now), now)
        deadline = created + timedelta(seconds=settings.WAVE_TIMEOUT_SECONDS)
        begun = WaveRun.objects.filter(pk=wave.pk, status__in=[WaveStatus.INITIATED, WaveStatus.POLLING])
        begun.update(status=WaveStatus.POLLING, status_message="")
        if wave.deadline_at is None or deadline > wave.deadline_at:
            WaveRun.objects.filter(pk=wave.pk).update(deadline_at=deadline)
        _clear_failures(run)
        transitions.touch(run.execution, now, [wave])
        journal(run, "launch.sent", wave=wave.number, launch=str(job.pk), region=job.region, jobId=found.job_id)


def _clear_failures(run: Run) -> None:
    execution = run.execution
    if execution.failures or execution.failing_since:
        execution.failures, execution.failing_since, execution.aws_error = 0, None, ""
        execution.save(update_fields=["failures", "failing_since", "aws_error"])


# Finding a launch whose answer was lost


def find(job: LaunchJob) -> list[Job]:
    """The DRS jobs that carry this launch's tag, oldest first. Raises DrsError when DRS cannot be asked."""
    since = (job.wave.started_at or job.wave.execution.started_at) - LOOK_BACK
    tagged = [
        each for each in Drs(job.region, reading="poller").jobs_since(since) if each.tags.get(LAUNCH_TAG) == str(job.pk)
    ]
    return sorted(tagged, key=lambda each: each.created_at)


def _adopt_if_found(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> bool:
    """Look for the launch at DRS and take it over; True when there was nothing left to send, or nothing to see now."""
    try:
        found = find(job)
    except DrsError as error:
        _look_again(run, wave, job, f"AWS does not say whether the launch arrived: {error.message}", clock())
        return True
    if not found:
        return False
    adopt(run, wave, job, found[0], clock())
    if len(found) > 1:
        ids = [each.job_id for each in found]
        record(
            ENGINE,
            "launch.doubled",
            subject_kind="execution",
            subject_id=run.execution.pk,
            subject_name=run.execution.plan_name,
            outcome="DOUBLE_LAUNCH",
            detail={"launch": str(job.pk), "jobIds": ids},
        )
    return True


def reconcile(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> None:
    """A launch was intended and never confirmed: adopt it if DRS has it, else let it be sent once that is safe."""
    job = LaunchJob.objects.select_related("wave__execution").get(pk=job_id)
    if job.state is not JobStatus.INITIATED or _adopt_if_found(run, wave, job, clock):
        return
    now = clock()
    quarantine = timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)
    if job.intent_at is not None and now > job.intent_at + quarantine:
        _requeue(run, wave, job, now, not_before=now, message="", verb="launch.cleared")
    else:
        text = "The answer to a launch was lost; looking for it at AWS before anything is sent again."
        _look_again(run, wave, job, text, now)


def _look_again(run: Run, wave: WaveRun, job: LaunchJob, message: str, now: datetime) -> None:
    later = now + timedelta(seconds=settings.POLL_SECONDS)
    with transaction.atomic():
        run.keep(now)
        LaunchJob.objects.filter(pk=job.pk, job_id="").update(not_before=later)
        _say(run, wave, message, now)


def _say(run: Run, wave: WaveRun, message: str, now: datetime) -> None:
    """Tell readers why the wave waits; only a new reason counts as a change."""
    if wave.status_message != message:
        wave.status_message = message
        wave.save(update_fields=["status_message"])
        transitions.touch(run.execution, now, [wave])


# A call that failed


def _after_failure(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, clock: Clock) -> None:
    journal(run, "launch.refused", outcome=error.code, wave=wave.number, launch=str(job.pk), text=error.message)
    if error.trouble is Trouble.CONFLICT and _adopt_if_found(run, wave, job, clock):
        return
    now = clock()
    if error.effect is Effect.UNCERTAIN:
        _look_again(run, wave, job, f"AWS gave no clear answer to a launch ({error.code}); looking for it.", now)
    elif error.effect is Effect.FATAL:
        _reject(run, wave, job, _FATAL_CODES.get(error.trouble, "LAUNCH_REJECTED"), error, now)
    elif job.refused_since is not None and now > job.refused_since + GIVE_UP_AFTER:
        code = "DRS_QUOTA_EXCEEDED" if error.trouble is Trouble.QUOTA else "LAUNCH_REJECTED"
        _reject(run, wave, job, code, error, now)
    else:
        _retry_later(run, wave, job, error, now)


def _waiting_for(error: DrsError) -> str:
    """Why a launch waits, in a sentence for the wave."""
    match error.trouble:
        case Trouble.THROTTLED:
            return f"AWS throttles launches in {error.region}; trying again."
        case Trouble.CONFLICT:
            return f"Another DRS job still works on a server of this wave: {error.message}"
        case Trouble.QUOTA:
            return f"A DRS quota in {error.region} is used up: {error.message}"
        case Trouble.CREDENTIALS:
            return f"The AWS credentials are not accepted: {error.message}"
        case _:
            return f"DRS in {error.region} cannot be reached ({error.code}); trying again."


def _retry_later(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, now: datetime) -> None:
    message = _waiting_for(error)
    since = job.refused_since or now
    wait = d.backoff(min(job.attempt - 1, 8), settings.POLL_SECONDS)
    LaunchJob.objects.filter(pk=job.pk, job_id="").update(refused_since=since)
    _requeue(run, wave, job, now, not_before=now + wait, message=message, verb="")


def _requeue(
    run: Run, wave: WaveRun, job: LaunchJob, now: datetime, *, not_before: datetime, message: str, verb: str
) -> None:
    """Certainly nothing was launched: the job may be sent again, from `not_before` on."""
    with transaction.atomic():
        run.keep(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, attempt=job.attempt, job_id="")
        if not mine.update(status=JobStatus.QUEUED, not_before=not_before):
            raise Lost
        _say(run, wave, message, now)
        if verb:
            journal(run, verb, wave=wave.number, launch=str(job.pk), attempt=job.attempt)


def _reject(run: Run, wave: WaveRun, job: LaunchJob, code: str, error: DrsError, now: datetime) -> None:
    """AWS will not take this launch: its servers have failed, with AWS's own words."""
    text = f"{error.code}: {error.message}"
    with transaction.atomic():
        run.keep(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        if not mine.update(status=JobStatus.REJECTED, error_code=code, error_message=text):
            raise Lost
        job.servers.update(launch_status=LaunchStatus.FAILED, phase=Phase.DONE, error=text)
        transitions.touch(run.execution, now, [wave])
        journal(run, "launch.rejected", outcome=code, wave=wave.number, launch=str(job.pk), text=text)
