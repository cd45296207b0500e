"""What AWS has not told yet of a run that is over: a report made now may say less than one made later."""

from collections.abc import Iterable, Sequence

from contract.plurals import counted
from executions.measuring.rta_rpa import WaveRows
from executions.models import LaunchJob, ServerRun
from executions.states import JobStatus, LaunchStatus


def is_open(job: LaunchJob) -> bool:
    """Whether AWS may have more news of a launch; or never said whether it took it, and is still asked."""
    return job.watched or (job.state is JobStatus.INITIATED and not job.job_id)


def expected(waves: Sequence[WaveRows]) -> list[str]:
    """What is still to come, in sentences; empty when AWS has told everything."""
    found = [text for wave in waves for text in _of_wave(wave)]
    return [*found, "A report or evidence pack made later has it."] if found else []


def _of_wave(wave: WaveRows) -> Iterable[str]:
    name, more = f"wave {wave.run.number + 1}", _told_on(wave)
    for job in wave.jobs:
        if is_open(job) and not job.job_id:
            yield (
                f"AWS never confirmed the launch of {name} in {job.region}."
                " It is not sent again; AWS is still checked for it, and anything that launched is recorded."
            )
    coming = sum(each.state is not LaunchStatus.TERMINATED and each.launched_at is None for each in more)
    if coming:
        yield (
            f"{counted(coming, 'server')} of {name} may still come up:"
            " AWS goes on with the launch, and what comes up is recorded."
        )
    reading = sum(each.launched_at is not None for each in more)
    if reading:
        yield (
            f"Figures of {counted(reading, 'launched server')} of {name} are still being read from AWS:"
            " launch times, the age of the data (RPA) and the log may change."
        )


def _told_on(wave: WaveRows) -> list[ServerRun]:
    """The servers of launches that AWS has and may have more to tell of."""
    watched = {job.pk for job in wave.jobs if is_open(job) and job.job_id}
    return [each for each in wave.servers if each.job_id in watched]
