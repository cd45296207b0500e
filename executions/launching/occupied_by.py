"""Who occupies a server while its wave waits: it is in one job of DRS at a time."""

from collections.abc import Collection, Mapping, Sequence

from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, Job
from executions.launching.refusals import WAITING, Part
from executions.models import LaunchJob, TerminationJob

NAMED = 3  # how many servers a sentence names


def jobs_of_ours(jobs: Sequence[Job]) -> dict[str, str]:
    """Those of the running jobs that are of runs of ours, with the plans' names."""
    ids = [each.job_id for each in jobs if each.status != JOB_COMPLETED]
    launches = LaunchJob.objects.filter(job_id__in=ids).values_list("job_id", "wave__execution__plan_name")
    endings = TerminationJob.objects.filter(job_id__in=ids).values_list("job_id", "execution__plan_name")
    return dict(launches) | dict(endings)


def by_occupant(
    jobs: Sequence[Job], servers: Sequence[str], ours: Collection[str], named: Collection[str]
) -> list[Part]:
    """The servers that nothing occupies, and those that wait, by the job they wait for; what AWS `named` waits, too."""
    holders = _job_of_server(jobs, servers)
    waiting = {each: holders.get(each, "") for each in servers if each in holders or each in named}
    free = [each for each in servers if each not in waiting]
    parts = [Part(free)] if free else []
    for job_id in dict.fromkeys(waiting.values()):
        held = [each for each, holder in waiting.items() if holder == job_id]
        parts.append(Part(held, waits=True, without_limit=job_id in ours))
    return parts


def _job_of_server(jobs: Sequence[Job], servers: Collection[str]) -> dict[str, str]:
    """The running job that each of these servers is in."""
    wanted = set(servers)
    return {
        each.source_server_id: job.job_id
        for job in jobs
        if job.status != JOB_COMPLETED
        for each in job.participants
        if each.source_server_id in wanted
    }


def occupied_by(jobs: Sequence[Job], servers: Sequence[str], error: DrsError, ours: Mapping[str, str]) -> str:
    """What a refused launch waits for, in words: the jobs that hold its servers."""
    running = [job for job in jobs if job.status != JOB_COMPLETED]
    which = servers[0] if len(servers) == 1 else "one of its servers"
    return _busy_servers(running, set(servers), ours) or f"Another DRS job is working on {which}: {error.message}"


def _busy_servers(running: Sequence[Job], servers: set[str], ours: Mapping[str, str]) -> str:
    busy = [
        f"{each.source_server_id} is in DRS job {job.job_id} ({job.initiated_by}, {job.status}{_owner_text(job, ours)})"
        for job in running
        for each in job.participants
        if each.source_server_id in servers
    ]
    if not busy:
        return ""
    more = f", and {len(busy) - NAMED} more are busy too" if len(busy) > NAMED else ""
    return f"{WAITING}: {'; '.join(busy[:NAMED])}{more}."


def _owner_text(job: Job, ours: Mapping[str, str]) -> str:
    return f", of our run of {ours[job.job_id]}: waited for as long as it runs" if job.job_id in ours else ""
