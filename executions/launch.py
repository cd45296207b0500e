"""Launching servers exactly once, although StartRecovery has no idempotency token.

Intent committed, then the call, then the job id committed. What was intended and never confirmed is looked up at
DRS by its tag before anything is sent again, and sent again only when no earlier request can still be accepted.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock, unix
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import JOB_COMPLETED, Job
from executions import decide as d
from executions import transitions
from executions.accounts import waits_for_credentials
from executions.errands import Errand
from executions.models import Execution, LaunchJob, TerminationJob, WaveRun
from executions.occupancy import occupied_by
from executions.patience import count, is_hopeless, leave_out_idle_time
from executions.run import Lost, Run, journal, uncounted
from executions.states import WAVE_BEGUN, ExecutionStatus, JobStatus, Kind, LaunchStatus, Phase, WaveStatus

LAUNCH_TAG = "drsorch:launch"
EXECUTION_TAG = "drsorch:execution"
LOOK_BACK = timedelta(minutes=10)  # before the wave began, for clocks that differ
OCCUPANTS_SINCE = timedelta(hours=6)  # no DRS job runs for longer

_FATAL_CODES = {
    Trouble.ACCESS_DENIED: "DRS_ACCESS_DENIED",
    Trouble.NOT_INITIALIZED: "REGION_NOT_INITIALIZED",
    Trouble.REGION_NOT_ENABLED: "REGION_NOT_INITIALIZED",
}


def launch(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> Errand[None]:
    """Send one job of a wave. Raises Lost when the run was taken over before the intent was recorded."""
    job = LaunchJob.objects.get(pk=job_id)
    leave_out_idle_time(job, clock())
    if job.attempt and (yield from _adopt_if_found(run, wave, job, clock)):
        return
    if (yield from waits_for_credentials(run, wave, job, clock)):
        return
    servers = list(job.servers.order_by("position").values_list("source_server_id", flat=True))
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intent is dated, so it never ends too late
    _record_intent(run, wave, job, clock())
    try:
        answer = yield partial(
            Drs(job.region, job.account_id).start_recovery,
            servers,
            is_drill=run.execution.purpose is Kind.DRILL,
            tags={LAUNCH_TAG: str(job.pk), EXECUTION_TAG: str(run.execution.pk)},
            window=window,
        )
    except DrsError as error:
        yield from _after_failure(run, wave, job, error, servers, clock)
    else:
        adopt(run, wave, job, answer, clock())


def _record_intent(run: Run, wave: WaveRun, job: LaunchJob, now: datetime) -> None:
    """Commit that this job is about to be sent: from here on it must be looked for before it is sent again."""
    with transaction.atomic():
        run.keep(now, status=d.running_status(wave.state, cancelled=False))
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt, job_id="")
        columns = {"attempt": job.attempt + 1, "intent_at": now, "refused_since": job.refused_since}
        if not mine.update(status=JobStatus.INITIATED, not_before=None, **columns):
            raise Lost
        job.status, job.attempt, job.intent_at = JobStatus.INITIATED, job.attempt + 1, now
        if not wave.state.has_begun:
            wave.status, wave.started_at = WaveStatus.INITIATED, now
            wave.save(update_fields=["status", "started_at"])
        transitions.touch(run.execution, now, [wave])
        journal(
            run,
            "launch.intent",
            wave=wave.number,
            launch=str(job.pk),
            region=job.region,
            attempt=job.attempt,
            intentTime=unix(now),
        )


def adopt(run: Run, wave: WaveRun, job: LaunchJob, found: Job, now: datetime, verb: str = "launch.sent") -> None:
    """Record the DRS job of a launch. Not guarded by the claim: a job id is never thrown away. The run is locked
    first, as by whoever writes news of its servers."""
    with transaction.atomic():
        list(Execution.objects.select_for_update().filter(pk=run.execution.pk).values_list("pk"))
        unrecorded = LaunchJob.objects.filter(pk=job.pk, job_id="")
        done = unrecorded.update(
            job_id=found.job_id,
            status=JobStatus.of(found.status),
            created_at=found.created_at,
            watched=True,  # `seen_at` stays empty: nothing is concluded before a poll has looked at the servers
            not_before=None,
            refused_since=None,
            refused_as="",
        )
        if not done:
            known = LaunchJob.objects.values_list("job_id", flat=True).get(pk=job.pk)
            _say_doubled(run, job, {known, found.job_id})
            return
        # The deadline counts from the job's own creation, so that adopting it late does not lengthen the wave; AWS's
        # clock is believed only as far as it agrees with ours, which dated the intent.
        created = min(max(found.created_at, job.intent_at or now), now)
        deadline = created + timedelta(seconds=settings.WAVE_TIMEOUT_SECONDS)
        begun = WaveRun.objects.filter(pk=wave.pk, status__in=WAVE_BEGUN)
        begun.update(status_message="")
        begun.filter(status=WaveStatus.INITIATED).update(status=WaveStatus.POLLING)
        # Launched by a database that was lost: the backup knows nothing of it.
        unknown = WaveRun.objects.filter(pk=wave.pk, status=WaveStatus.PENDING)
        unknown.update(status=WaveStatus.POLLING, started_at=found.created_at)
        if wave.deadline_at is None or deadline > wave.deadline_at:
            WaveRun.objects.filter(pk=wave.pk).update(deadline_at=deadline)
        _clear_failures(run)
        transitions.touch(run.execution, now, [wave])
        journal(run, verb, wave=wave.number, launch=str(job.pk), region=job.region, jobId=found.job_id)


def _clear_failures(run: Run) -> None:
    execution = run.execution
    if execution.failures or execution.failing_since:
        execution.failures, execution.failing_since, execution.aws_error = 0, None, ""
        execution.save(update_fields=["failures", "failing_since", "aws_error"])


def _say_doubled(run: Run, job: LaunchJob, job_ids: set[str]) -> None:
    """The one thing that must never happen is told as loudly as possible if it does."""
    if len(job_ids) > 1:
        record(
            ENGINE,
            "launch.doubled",
            subject_kind="execution",
            subject_id=run.execution.pk,
            subject_name=run.execution.plan_name,
            outcome="DOUBLE_LAUNCH",
            detail={"launch": str(job.pk), "jobIds": sorted(job_ids)},
        )


# Finding a launch whose answer was lost


def _adopt_if_found(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> Errand[bool]:
    """Look for the launch at DRS and take it over; True when there was nothing left to send, or nothing to see now."""
    try:
        since = _begun(run, wave) - LOOK_BACK
        jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
    except DrsError as error:
        text = f"AWS does not say whether the launch arrived: {error.message}"
        now = clock()
        run.keep(now, failing_since=run.execution.failing_since or now, aws_error=str(error))
        _look_again(run, wave, job, text, now)
        return True
    # Of a run that is polled, too, the polls say whether the other regions answer.
    if f" in {job.region}: " in run.execution.aws_error or not transitions.is_watched(run.execution):
        _clear_failures(run)
    return adopt_tagged(run, wave, job, jobs, clock)


def _begun(run: Run, wave: WaveRun) -> datetime:
    return wave.started_at or run.execution.started_at


def adopt_tagged(run: Run, wave: WaveRun, job: LaunchJob, jobs: Sequence[Job], clock: Clock) -> bool:
    """Take over the oldest of the jobs that carries this launch's tag, if any does."""
    tagged = sorted((each for each in jobs if each.tags.get(LAUNCH_TAG) == str(job.pk)), key=lambda e: e.created_at)
    if not tagged:
        return False
    adopt(run, wave, job, tagged[0], clock(), "launch.adopted")
    _say_doubled(run, job, {each.job_id for each in tagged})
    return True


def take_over_late(run: Run, clock: Clock) -> Errand[None]:
    """Launches in doubt of a run that was given up: never sent again, but taken over if DRS shows them after all."""
    for job in uncounted(run.execution).select_related("wave"):
        since, asked_at = _begun(run, job.wave) - LOOK_BACK, clock()
        try:
            jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
        except DrsError:
            continue  # asked again at the next poll
        if not adopt_tagged(run, job.wave, job, jobs, clock) and not _may_land(run, job, asked_at):
            LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="").update(
                status=JobStatus.WITHDRAWN
            )


def _may_land(run: Run, job: LaunchJob, asked_at: datetime) -> bool:
    """Whether a request for this launch could still be accepted when DRS was asked. That is the time that counts: the
    process may have been frozen since. A database that was lost may have sent it until the restore."""
    sent = [each for each in (job.intent_at, run.execution.restored_at) if each is not None]
    return bool(sent) and asked_at <= max(sent) + timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)


def reconcile(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> Errand[None]:
    """A launch was intended and never confirmed: adopt it if DRS has it, else let it be sent once that is safe."""
    job, asked_at = LaunchJob.objects.get(pk=job_id), clock()
    leave_out_idle_time(job, asked_at)
    if job.state is not JobStatus.INITIATED or (yield from _adopt_if_found(run, wave, job, clock)):
        return
    now = clock()
    if job.intent_at is None or _may_land(run, job, asked_at):
        text = "The answer to a launch was lost; looking for it at AWS before anything is sent again."
        _look_again(run, wave, job, text, now)
    elif is_hopeless(job, now):
        _reject(run, wave, job, "LAUNCH_REJECTED", "AWS never gave a clear answer, and started nothing.", now)
    else:
        _requeue(run, wave, job, now, not_before=now, message="", verb="launch.cleared")


def _look_again(run: Run, wave: WaveRun, job: LaunchJob, message: str, now: datetime) -> None:
    """Nothing is known yet. If somebody knows by now, that stands."""
    later = now + timedelta(seconds=settings.POLL_SECONDS)
    with transaction.atomic():
        run.keep(now)
        unknown = LaunchJob.objects.filter(pk=job.pk, status=job.status, attempt=job.attempt, job_id="")
        if unknown.update(not_before=later, refused_since=job.refused_since, refused_as=job.refused_as):
            _say(run, wave, message, now)


def _look_after(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, message: str, now: datetime) -> None:
    """The call itself has just failed, and it may have had its effect: look for that."""
    count(job, error.trouble, now)
    with transaction.atomic():
        _look_again(run, wave, job, message, now)
        journal(run, "launch.unclear", outcome=error.code, wave=wave.number, launch=str(job.pk))


def _say(run: Run, wave: WaveRun, message: str, now: datetime) -> None:
    """Tell readers why the wave waits; only a new reason counts as a change, and no other engine's is left standing."""
    begun = WaveRun.objects.filter(pk=wave.pk, status__in=WAVE_BEGUN)
    if begun.exclude(status_message=message).update(status_message=message):
        transitions.touch(run.execution, now, [wave])


# A call that failed


def _after_failure(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> Errand[None]:
    if error.effect is Effect.UNCERTAIN:
        text = f"AWS gave no clear answer to a launch ({error.code}); looking for it."
        _look_after(run, wave, job, error, text, clock())
    elif error.effect is Effect.FATAL:
        code = _FATAL_CODES.get(error.trouble, "LAUNCH_REJECTED")
        _reject(run, wave, job, code, f"{error.code}: {error.message}", clock())
    elif error.trouble in (Trouble.CONFLICT, Trouble.QUOTA):
        yield from _after_occupied(run, wave, job, error, servers, clock)
    else:
        _retry_later(run, wave, job, error, _waiting_for(error), clock())


def _after_occupied(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> Errand[None]:
    """DRS is busy. With ourselves, perhaps: a conflict may be with this very launch. Else say who occupies it."""
    since = min(_begun(run, wave) - LOOK_BACK, clock() - OCCUPANTS_SINCE)
    try:
        jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
    except DrsError:
        text = f"{error.message} AWS does not say who occupies it."
        if error.trouble is Trouble.CONFLICT:
            _look_after(run, wave, job, error, text, clock())
        else:
            _retry_later(run, wave, job, error, text, clock())
        return
    if not adopt_tagged(run, wave, job, jobs, clock):
        text = occupied_by(jobs, servers, error)
        ours = error.trouble is Trouble.QUOTA and _any_is_ours(jobs)
        _retry_later(run, wave, job, error, text, clock(), patiently=ours)


def _any_is_ours(jobs: Sequence[Job]) -> bool:
    """Whether one of the running jobs is of a run of ours: a large wave fills the quota by itself."""
    ids = [each.job_id for each in jobs if each.status != JOB_COMPLETED]
    launches = LaunchJob.objects.filter(job_id__in=ids)
    return launches.exists() or TerminationJob.objects.filter(job_id__in=ids).exists()


def _waiting_for(error: DrsError) -> str:
    """Why a launch waits, in a sentence for the wave."""
    match error.trouble:
        case Trouble.THROTTLED:
            return f"AWS throttles launches in {error.region}; trying again."
        case Trouble.OTHER_ACCOUNT:
            return error.message
        case Trouble.CREDENTIALS:
            return f"The AWS credentials are not accepted: {error.message}"
        case Trouble.KEY_OR_REGION:
            return (
                f"AWS does not know the access key, because it was deleted or replaced, or because {error.region} is"
                f" not enabled for the account; trying again. ({error.message})"
            )
        case Trouble.NOT_SENT:
            return "This engine was held up for too long to send the launch safely; trying again."
        case _:
            return f"DRS in {error.region} cannot be reached ({error.code}); trying again."


def _retry_later(
    run: Run,
    wave: WaveRun,
    job: LaunchJob,
    error: DrsError,
    message: str,
    now: datetime,
    *,
    patiently: bool = False,
) -> None:
    """Certainly nothing was launched: try again, for half an hour. Throttling alone never fails a wave, nor do
    credentials of another account: AWS was not even asked."""
    patiently = patiently or error.trouble in (Trouble.THROTTLED, Trouble.OTHER_ACCOUNT)
    count(job, error.trouble, now, patiently=patiently)
    if is_hopeless(job, now):
        code = "DRS_QUOTA_EXCEEDED" if error.trouble is Trouble.QUOTA else "LAUNCH_REJECTED"
        _reject(run, wave, job, code, f"{error.code}: {message}", now)
        return
    wait = d.backoff(min(job.attempt - 1, 8), settings.POLL_SECONDS)
    _requeue(run, wave, job, now, not_before=now + wait, message=message, verb="launch.refused", outcome=error.code)


def _requeue(
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
        over = _lock(run)
        refused = {"refused_since": job.refused_since, "refused_as": job.refused_as}
        status = JobStatus.WITHDRAWN if over else JobStatus.QUEUED
        if over is None or not _unanswered(job).update(status=status, not_before=not_before, **refused):
            return
        _say(run, wave, message, now)
        journal(run, verb, outcome=outcome, wave=wave.number, launch=str(job.pk), attempt=job.attempt, text=message)


def _reject(run: Run, wave: WaveRun, job: LaunchJob, code: str, text: str, now: datetime) -> None:
    """AWS will not take this launch: its servers have failed, with AWS's own words."""
    with transaction.atomic():
        rejected = {"status": JobStatus.REJECTED, "error_code": code, "error_message": text}
        if _lock(run) is None or not _unanswered(job).update(**rejected):
            return
        job.servers.update(launch_status=LaunchStatus.FAILED, phase=Phase.DONE, error=text)
        transitions.touch(run.execution, now, [wave])
        journal(run, "launch.rejected", outcome=code, wave=wave.number, launch=str(job.pk), text=text)


# What is certain of an attempt is not guarded by the claim, as little as a job id: whoever has the run by now would
# have to wait until no request can land any more. It is guarded by the attempt.


def _lock(run: Run) -> bool | None:
    """Lock the run and say whether it is over; None where an answer of before a restore, or to a run that is gone,
    says nothing."""
    rows = Execution.objects.select_for_update().filter(pk=run.execution.pk, restored_at=None)
    return next((ExecutionStatus.of(each).is_final for each in rows.values_list("status", flat=True)), None)


def _unanswered(job: LaunchJob) -> QuerySet[LaunchJob]:
    """The launch, as long as nobody has found out what became of this attempt."""
    return LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, attempt=job.attempt, job_id="")
