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

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock, unix
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import JOB_COMPLETED, Job
from executions import decide as d
from executions import transitions
from executions.errands import Errand
from executions.models import Execution, LaunchJob, TerminationJob, WaveRun
from executions.occupancy import occupied_by
from executions.run import Lost, Run, journal, uncounted
from executions.states import STEPPED, WAVE_BEGUN, JobStatus, Kind, LaunchStatus, Phase, WaveStatus

LAUNCH_TAG = "drsorch:launch"
EXECUTION_TAG = "drsorch:execution"
GIVE_UP_AFTER = timedelta(minutes=30)
IDLE_AFTER = timedelta(minutes=2)  # a launch that is late by more: no engine ran
LOOK_BACK = timedelta(minutes=10)  # before the wave began, for clocks that differ
OCCUPANTS_SINCE = timedelta(hours=6)  # no DRS job runs for longer

_FATAL_CODES = {
    Trouble.ACCESS_DENIED: "DRS_ACCESS_DENIED",
    Trouble.NOT_INITIALIZED: "REGION_NOT_INITIALIZED",
    Trouble.REGION_NOT_ENABLED: "REGION_NOT_INITIALIZED",
}
# One reason in different words: a bad network or a sick DRS shows all of them by turns.
_SAME_AS = {Trouble.UNCERTAIN: Trouble.UNREACHABLE, Trouble.NOT_SENT: Trouble.UNREACHABLE}


def launch(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> Errand[None]:
    """Send one job of a wave. Raises Lost when the run was taken over before the intent was recorded."""
    job = LaunchJob.objects.get(pk=job_id)
    _leave_out_idle_time(job, clock())
    if job.attempt and (yield from _adopt_if_found(run, wave, job, clock)):
        return
    servers = list(job.servers.order_by("position").values_list("source_server_id", flat=True))
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intent is dated, so it never ends too late
    _record_intent(run, wave, job, clock())
    try:
        answer = yield partial(
            Drs(job.region).start_recovery,
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
        if run.execution.cancel_requested_at is None:
            run.keep(now, status=d.running_status(wave.state, cancelled=False))
        else:
            run.keep(now)
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
        jobs = yield partial(Drs(job.region, reading="poller").jobs_since, _begun(run, wave) - LOOK_BACK)
    except DrsError as error:
        text = f"AWS does not say whether the launch arrived: {error.message}"
        now = clock()
        run.keep(now, failing_since=run.execution.failing_since or now, aws_error=str(error))
        _look_again(run, wave, job, text, now)
        return True
    if not transitions.is_watched(run.execution):  # else the polls say whether AWS answers
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
        since = _begun(run, job.wave) - LOOK_BACK
        try:
            jobs = yield partial(Drs(job.region, reading="poller").jobs_since, since)
        except DrsError:
            continue  # asked again at the next poll
        quarantine = timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)
        over = job.intent_at is None or clock() > job.intent_at + quarantine
        if not adopt_tagged(run, job.wave, job, jobs, clock) and over:
            LaunchJob.objects.filter(pk=job.pk, job_id="").update(status=JobStatus.WITHDRAWN)


def reconcile(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> Errand[None]:
    """A launch was intended and never confirmed: adopt it if DRS has it, else let it be sent once that is safe."""
    job = LaunchJob.objects.get(pk=job_id)
    _leave_out_idle_time(job, clock())
    if job.state is not JobStatus.INITIATED or (yield from _adopt_if_found(run, wave, job, clock)):
        return
    now = clock()
    quarantine = timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)
    if job.intent_at is None or now <= job.intent_at + quarantine:
        text = "The answer to a launch was lost; looking for it at AWS before anything is sent again."
        _look_again(run, wave, job, text, now)
    elif _is_hopeless(job, now):
        _reject(run, wave, job, "LAUNCH_REJECTED", "AWS never gave a clear answer, and started nothing.", now)
    else:
        _requeue(run, wave, job, now, not_before=now, message="", verb="launch.cleared")


def _look_again(
    run: Run, wave: WaveRun, job: LaunchJob, message: str, now: datetime, error: DrsError | None = None
) -> None:
    """Nothing is known yet. With `error`, the call itself has just failed and that goes into the journal."""
    later = now + timedelta(seconds=settings.POLL_SECONDS)
    with transaction.atomic():
        run.keep(now)
        if error is not None:
            _count(job, error.trouble, now)
            journal(run, "launch.unclear", outcome=error.code, wave=wave.number, launch=str(job.pk))
        unknown = LaunchJob.objects.filter(pk=job.pk, job_id="")
        unknown.update(not_before=later, refused_since=job.refused_since, refused_as=job.refused_as)
        _say(run, wave, message, now)


def _say(run: Run, wave: WaveRun, message: str, now: datetime) -> None:
    """Tell readers why the wave waits; only a new reason counts as a change."""
    if wave.status_message != message:
        wave.status_message = message
        wave.save(update_fields=["status_message"])
        transitions.touch(run.execution, now, [wave])


# How long a refusal is borne


def _count(job: LaunchJob, trouble: Trouble, now: datetime, *, patiently: bool = False) -> None:
    """Half an hour of refusals for one reason is enough; what AWS will surely take later does not count."""
    kind = _SAME_AS.get(trouble, trouble).name
    if patiently:
        job.refused_since = None
    elif job.refused_since is None or job.refused_as != kind:
        job.refused_since = now
    job.refused_as = kind


def _is_hopeless(job: LaunchJob, now: datetime) -> bool:
    limit = GIVE_UP_AFTER
    if job.refused_as == Trouble.QUOTA.name:  # it waits for others' launches, which may take as long as ours
        limit = max(limit, timedelta(seconds=settings.WAVE_TIMEOUT_SECONDS))
    return job.refused_since is not None and now > job.refused_since + limit


def _leave_out_idle_time(job: LaunchJob, now: datetime) -> None:
    """Time in which nobody tried, because no engine ran, says nothing of AWS."""
    due = job.not_before or job.intent_at
    if job.refused_since is not None and due is not None and now > due + IDLE_AFTER:
        job.refused_since += now - due


def wake_waiting(account: str, region: str, now: datetime) -> None:
    """A DRS job has ended there: launches that wait for a server or a slot are tried at once."""
    waiting = LaunchJob.objects.filter(
        account_id=account,
        region=region,
        status=JobStatus.QUEUED,
        refused_as__in=[Trouble.CONFLICT.name, Trouble.QUOTA.name],
        not_before__gt=now,
    )
    runs = set(waiting.values_list("wave__execution_id", flat=True))
    if runs and waiting.update(not_before=now):
        resting = Execution.objects.filter(pk__in=runs, status__in=STEPPED, claim=None)
        resting.filter(next_step_at__gt=now).update(next_step_at=now)


# A call that failed


def _after_failure(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> Errand[None]:
    if error.effect is Effect.UNCERTAIN:
        text = f"AWS gave no clear answer to a launch ({error.code}); looking for it."
        _look_again(run, wave, job, text, clock(), error)
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
        jobs = yield partial(Drs(job.region, reading="poller").jobs_since, since)
    except DrsError:
        _look_again(run, wave, job, f"{error.message} AWS does not say who occupies it.", clock(), error)
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
    """Certainly nothing was launched: try again, for half an hour; throttling alone never fails a wave."""
    _count(job, error.trouble, now, patiently=patiently or error.trouble is Trouble.THROTTLED)
    if _is_hopeless(job, now):
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
    """The job may be sent again, from `not_before` on."""
    with transaction.atomic():
        run.keep(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, attempt=job.attempt, job_id="")
        refused = {"refused_since": job.refused_since, "refused_as": job.refused_as}
        if not mine.update(status=JobStatus.QUEUED, not_before=not_before, **refused):
            raise Lost
        _say(run, wave, message, now)
        journal(run, verb, outcome=outcome, wave=wave.number, launch=str(job.pk), attempt=job.attempt, text=message)


def _reject(run: Run, wave: WaveRun, job: LaunchJob, code: str, text: str, now: datetime) -> None:
    """AWS will not take this launch: its servers have failed, with AWS's own words."""
    with transaction.atomic():
        run.keep(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, attempt=job.attempt, job_id="")
        if not mine.update(status=JobStatus.REJECTED, error_code=code, error_message=text):
            raise Lost
        job.servers.update(launch_status=LaunchStatus.FAILED, phase=Phase.DONE, error=text)
        transitions.touch(run.execution, now, [wave])
        journal(run, "launch.rejected", outcome=code, wave=wave.number, launch=str(job.pk), text=text)
