"""Whether a run waits for news that AWS does not give, and may be given up. Only reads."""

from datetime import datetime, timedelta

from django.conf import settings

from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs.current_wave import current_wave
from executions.states import JobStatus, LaunchStatus

SILENT_FOR = timedelta(minutes=10)
STALLED_POLLS = 3
OPEN_SERVERS = (LaunchStatus.PENDING, LaunchStatus.IN_PROGRESS)
UNSAVED = "The answer from AWS for this run could not be saved"  # begins `aws_error` when AWS is not to blame
UNSAVED_1_0 = "What AWS told of this run cannot be written down"  # the same, as version 1.0 wrote it


def is_unsaved(aws_error: str) -> bool:
    """Whether AWS answers, but the answer cannot be saved."""
    return aws_error.startswith((UNSAVED, UNSAVED_1_0))


def stalled_before(now: datetime) -> datetime:
    """What was last told before then has been silent for three polls."""
    return now - STALLED_POLLS * timedelta(seconds=settings.POLL_SECONDS)


def unconfirmed_jobs(execution: Execution) -> list[LaunchJob]:
    """Of a run that was read from a backup: launches in regions that have not said yet whether they were sent since."""
    if execution.restored_at is None:
        return []
    jobs = [job for wave in execution.waves.all() for job in wave.jobs.all()]
    return [job for job in jobs if job.state is JobStatus.INITIATED and not job.job_id]


def wave_in_flight(execution: Execution) -> WaveRun | None:
    """The wave of which something was sent, or of a restored run may have been, and that is not over."""
    wave = current_wave(execution.waves.all())
    return wave if wave and (wave.state.has_begun or unconfirmed_jobs(execution)) else None


def silent_jobs(execution: Execution, wave: WaveRun, now: datetime) -> dict[LaunchJob, datetime]:
    """Launches of the wave of which DRS has told nothing for three polls, whatever it tells of others, and since when;
    of a restored run, of any wave."""
    return {job: at for job, at in _waited_for(execution, wave).items() if at < stalled_before(now)}


def _waited_for(execution: Execution, wave: WaveRun) -> dict[LaunchJob, datetime]:
    """Launches that the run waits for AWS to tell of, and when it last did."""
    jobs = unconfirmed_jobs(execution) or wave.jobs.all()
    heard = ((job, _heard_of(execution, job)) for job in jobs)
    return {job: at for job, at in heard if at is not None}


def _heard_of(execution: Execution, job: LaunchJob) -> datetime | None:
    if job.state.is_open:
        return job.seen_at or job.recorded_at or job.created_at
    if job.state is JobStatus.INITIATED:
        return execution.failing_since  # whoever looks for it says so
    if job.state is JobStatus.COMPLETED and job.instances_seen_at is None:
        is_open = ServerRun.objects.filter(job=job, launch_status__in=OPEN_SERVERS).exists()
        return job.completed_seen_at if is_open else None
    return None


def not_abandonable(execution: Execution, now: datetime) -> str:
    """Why nobody may give up on AWS's answer yet; empty when they may. What DRS answers about other jobs is no reason
    to go on waiting for this one."""
    if execution.state.is_final:
        return "The run is over."
    if execution.failing_since is None and execution.stalled_since is None:
        return "No silence of AWS has been noticed. Cancel the run instead."
    wave = wave_in_flight(execution)
    waited_for = _waited_for(execution, wave) if wave else {}
    if not waited_for:
        return "No wave is waiting for AWS. Cancel the run instead."
    if now < min(waited_for.values()) + SILENT_FOR:
        return "AWS has not answered for less than 10 minutes. The engine keeps trying."
    return ""
