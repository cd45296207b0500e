"""Who occupies DRS while a wave waits: a server is in one job at a time, a region takes 20 jobs and 500 servers."""

from collections.abc import Sequence

from contract.counting import counted
from drs.errors import DrsError, Trouble
from drs.shapes import JOB_COMPLETED, Job

NAMED = 3  # how many servers a sentence names


def occupied_by(jobs: Sequence[Job], servers: Sequence[str], error: DrsError) -> str:
    """What a refused launch waits for, in words: the jobs that hold its servers, or all that run in the region."""
    running = [job for job in jobs if job.status != JOB_COMPLETED]
    if error.trouble is Trouble.CONFLICT:
        return _busy_servers(running, set(servers)) or f"Another DRS job works on one of its servers: {error.message}"
    total = sum(len(job.participants) for job in running)
    return (
        f"A DRS quota in {error.region} is used up: {counted(len(running), 'job')} with {counted(total, 'server')}"
        f" {'runs' if len(running) == 1 else 'run'} there. Waiting for one to end. ({error.message})"
    )


def _busy_servers(running: Sequence[Job], servers: set[str]) -> str:
    busy = [
        f"{each.source_server_id} is in DRS job {job.job_id} ({job.initiated_by}, {job.status})"
        for job in running
        for each in job.participants
        if each.source_server_id in servers
    ]
    if not busy:
        return ""
    more = f", and {len(busy) - NAMED} more are busy too" if len(busy) > NAMED else ""
    return f"Waiting for another DRS job to end: {'; '.join(busy[:NAMED])}{more}."
