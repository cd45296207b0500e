"""Taking over a launch that DRS has: the job with its tag, or, where tags do not come back, one of the same servers.

Whoever finds it records it; a job id is never thrown away.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction

from contract.clock import Clock
from drs.client import Drs
from drs.shapes import NOT_A_LAUNCH, Job, Participant
from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, WaveRun
from executions.observing.job_questions import aws_ahead
from executions.runs import transitions
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run
from executions.runs.journal import note
from executions.states import WAVE_BEGUN, JobStatus, LaunchStatus, WaveStatus

log = logging.getLogger(__name__)

LAUNCH_TAG = "drsorch:launch"
EXECUTION_TAG = "drsorch:execution"
LOOK_BACK = timedelta(hours=3)  # before the wave began, for clocks that differ, the database's and AWS's, too
_TOLD = (JobStatus.PENDING, JobStatus.STARTED, JobStatus.COMPLETED)
# AWS takes no request that is signed by a clock that differs by more than a signature lives, about five minutes. The
# quarantine is twice that, and the window in which a launch is sent.
CLOCKS_DIFFER = timedelta(seconds=(settings.LAUNCH_QUARANTINE_SECONDS - settings.SEND_WINDOW_SECONDS) / 2)


def look_since(run: Run, wave: WaveRun) -> datetime:
    """Since when DRS is asked for jobs that may be launches of a wave."""
    return _begun_at(run, wave) - LOOK_BACK


def _begun_at(run: Run, wave: WaveRun) -> datetime:
    return wave.started_at or run.execution.started_at


def adopt_found(run: Run, wave: WaveRun, job: LaunchJob, jobs: Sequence[Job], clock: Clock) -> bool:
    """Take over the job that is this launch, if any is: the oldest with its tag, else the one of the same servers that
    was made nearest to the send."""
    mine = (each for each in jobs if each.tags.get(LAUNCH_TAG) == str(job.pk))
    tagged = _oldest_first(each for each in mine if each.type not in NOT_A_LAUNCH)
    if tagged:
        adopt(run, wave, job, tagged[0], clock(), "launch.adopted")
        _report_double_launch(run, job, {each.job_id for each in tagged})
        return True
    servers = set(job.servers.values_list("source_server_id", flat=True))
    alike = [each for each in untagged(run, wave, job, jobs, clock) if _servers_of(each) == servers]
    if alike:  # several, where somebody else launched the same servers: ours was made when it was sent
        since = (_sent_since(run, wave, job) or _begun_at(run, wave)) + _aws_ahead(job, jobs, clock)
        nearest = min(alike, key=lambda each: abs(each.created_at - since))
        adopt(run, wave, job, nearest, clock(), "launch.adopted", foundBy="servers")
    return bool(alike)


def _servers_of(found: Job) -> set[str]:
    return {each.source_server_id for each in found.participants}


def _aws_ahead(job: LaunchJob, jobs: Sequence[Job], clock: Clock) -> timedelta:
    return aws_ahead(jobs, job.account_id, job.region, clock())


def untagged(run: Run, wave: WaveRun, job: LaunchJob, jobs: Sequence[Job], clock: Clock) -> list[Job]:
    """Jobs without our tag that may be this launch all the same, oldest first: of its kind, made after it may have
    been sent, and of no other launch of ours. Of a launch that was certainly refused, each time, none is."""
    since = _sent_since(run, wave, job)
    if since is None:
        return []
    since += _aws_ahead(job, jobs, clock)
    kind = "START_RECOVERY" if run.execution.purpose.is_recovery else "START_DRILL"
    found = [
        each
        for each in jobs
        if LAUNCH_TAG not in each.tags
        and each.type not in NOT_A_LAUNCH
        and each.dated
        and each.initiated_by in ("", kind)
        and each.created_at >= since - CLOCKS_DIFFER
    ]
    ids = [each.job_id for each in found]
    owned = set(LaunchJob.objects.filter(job_id__in=ids).values_list("job_id", flat=True)) if ids else set()
    return _oldest_first(each for each in found if each.job_id not in owned)


def jobs_since_wave(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> AwsCalls[Sequence[Job]]:
    """What DRS lists that may be this launch. Jobs that have neither a tag nor participants have the servers whose
    instances name them; asks for those only where there are such."""
    drs = Drs(job.region, job.account_id, reading="poller")
    jobs: Sequence[Job] = yield partial(drs.jobs_since, look_since(run, wave))
    bare = {each.job_id for each in untagged(run, wave, job, jobs, clock) if not each.participants}
    if not bare:
        return jobs
    servers = list(job.servers.values_list("source_server_id", flat=True))
    named: dict[str, list[Participant]] = defaultdict(list)
    for each in (yield partial(drs.recovery_instances, servers)):
        named[each.job_id].append(Participant(each.source_server_id, LaunchStatus.LAUNCHED, each.recovery_instance_id))
    return [replace(each, participants=tuple(named[each.job_id])) if each.job_id in bare else each for each in jobs]


def _sent_since(run: Run, wave: WaveRun, job: LaunchJob) -> datetime | None:
    """Since when a request for this launch may have been accepted without our knowing; None when none was."""
    if run.execution.restored_at is not None:
        return run.execution.started_at  # a database that was lost may have sent it
    if job.cleared_at is not None:
        return _begun_at(run, wave)  # an earlier attempt got no clear answer
    return job.intent_at if job.state is JobStatus.INITIATED else None


def _oldest_first(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda each: each.created_at)


def adopt(
    run: Run, wave: WaveRun, job: LaunchJob, found: Job, now: datetime, verb: str = "launch.sent", **told: Any
) -> None:
    """Record the DRS job of a launch. Not guarded by the claim: a job id is never thrown away. The run is locked
    first, as by whoever writes news of its servers."""
    made = found.created_at if found.dated else now
    with transaction.atomic():
        list(Execution.objects.select_for_update().filter(pk=run.execution.pk).values_list("pk"))
        unrecorded = LaunchJob.objects.filter(pk=job.pk, job_id="")
        done = unrecorded.update(
            job_id=found.job_id,
            status=_status(found),
            created_at=made,
            recorded_at=now,
            watched=True,  # `seen_at` stays empty: nothing is concluded before a poll has looked at the servers
            not_before=None,
            refused_since=None,
            refused_as="",
        )
        if not done:
            known = LaunchJob.objects.values_list("job_id", flat=True).get(pk=job.pk)
            _report_double_launch(run, job, {known, found.job_id})
            return
        job.created_at, job.recorded_at = made, now
        # The deadline counts from the job's own creation, so that adopting it late does not lengthen the wave; AWS's
        # clock is believed only as far as it agrees with ours, which dated the intent.
        created = min(max(made, job.intent_at or now), now)
        deadline = created + wave.time_limit
        begun = WaveRun.objects.filter(pk=wave.pk, status__in=WAVE_BEGUN)
        others = LaunchJob.objects.filter(wave=wave.pk, status=JobStatus.QUEUED).exclude(refused_as="")
        if not others.exists():  # else it says what they wait for
            begun.update(status_message="")
        begun.filter(status=WaveStatus.INITIATED).update(status=WaveStatus.POLLING)
        # Launched by a database that was lost: the backup knows nothing of it.
        unknown = WaveRun.objects.filter(pk=wave.pk, status=WaveStatus.PENDING)
        if unknown.update(status=WaveStatus.POLLING, started_at=min(max(made, run.execution.started_at), now)):
            note(run.execution, "wave.started", wave=wave.number, attempt=wave.attempt)
        if wave.deadline_at is None or deadline > wave.deadline_at:
            WaveRun.objects.filter(pk=wave.pk).update(deadline_at=deadline)
        clear_failures(run)
        transitions.touch(run.execution, now, [wave])
        told |= {"jobId": found.job_id, "awsAheadSeconds": job.aws_ahead_seconds}
        note(run.execution, verb, wave=wave.number, launch=str(job.pk), region=job.region, **told)


def _status(found: Job) -> JobStatus:
    """DRS's word for the job. One that we do not know counts as PENDING, until DRS says something else."""
    told = next((each for each in _TOLD if each.value == found.status), None)
    if told is None:
        log.warning("DRS reports an unknown status %r for job %s", found.status, found.job_id)
    return told or JobStatus.PENDING


def clear_failures(run: Run) -> None:
    execution = run.execution
    if execution.failures or execution.failing_since:
        execution.failures, execution.failing_since, execution.aws_error = 0, None, ""
        execution.save(update_fields=["failures", "failing_since", "aws_error"])


def _report_double_launch(run: Run, job: LaunchJob, job_ids: set[str]) -> None:
    """A double launch must never happen: if it does, record it in the journal as such."""
    if len(job_ids) > 1:
        note(
            run.execution,
            "launch.doubled",
            outcome=Code.DOUBLE_LAUNCH,
            launch=str(job.pk),
            jobIds=sorted(job_ids),
        )
