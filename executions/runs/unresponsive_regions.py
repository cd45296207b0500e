"""Whether a run waits for a region of AWS that does not answer, and may be given up. Only reads."""

from datetime import datetime, timedelta

from django.conf import settings

from executions.models import Execution, LaunchJob, WaveRun
from executions.runs.current_wave import current_wave
from executions.states import JobStatus

SILENT_FOR = timedelta(minutes=10)
UNSAVED = "The answer from AWS for this run could not be saved"  # begins `aws_error` when AWS is not to blame
UNSAVED_1_0 = "What AWS told of this run cannot be written down"  # the same, as version 1.0 wrote it


def is_unsaved(aws_error: str) -> bool:
    """Whether AWS answers, but the answer cannot be saved."""
    return aws_error.startswith((UNSAVED, UNSAVED_1_0))


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


def silent_jobs(execution: Execution, wave: WaveRun) -> list[LaunchJob]:
    """Launches of the wave that DRS has not reported on since it stopped answering; of a restored run, of any wave."""
    since = execution.failing_since
    if since is None:
        return []
    sent = [job for job in wave.jobs.all() if job.state.is_open or job.state is JobStatus.INITIATED]
    return unconfirmed_jobs(execution) or [job for job in sent if job.seen_at is None or job.seen_at < since]


def not_abandonable(execution: Execution, now: datetime) -> str:
    """Why nobody may give up on AWS's answer yet; empty when they may."""
    if execution.state.is_final:
        return "The run is over."
    if execution.failing_since is None:
        return "AWS is answering. Cancel the run instead."
    wave = wave_in_flight(execution)
    if wave is None or not silent_jobs(execution, wave):
        return "No wave is waiting for AWS. Cancel the run instead."
    if now < execution.failing_since + SILENT_FOR:
        return "AWS has not answered for less than 10 minutes. The engine keeps trying."
    waits_for_aws_alone = execution.cancel_requested_at is not None or unconfirmed_jobs(execution)
    if not waits_for_aws_alone and now <= _deadline(wave, now):
        return "The wave has not timed out yet. Wait, or cancel the run first."
    return ""


def _deadline(wave: WaveRun, now: datetime) -> datetime:
    """When it was due; a wave of which no job is known yet is due a timeout after its start."""
    return wave.deadline_at or (wave.started_at or now) + timedelta(seconds=settings.WAVE_TIMEOUT_SECONDS)
