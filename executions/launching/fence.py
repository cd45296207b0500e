"""Whether this installation may launch: asked of DRS right before each launch (docs/adr/0114-takeover.md).

An installation that nobody can have taken over, because it never wrote a bundle, goes by what it read anyway, and
DRS's silence is in no launch's way. Every other one launches only servers that DRS has just shown to be its own.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction

from contract.clock import Clock
from drs.client import Drs
from drs.errors import SUPERSEDED, DrsError, Trouble
from drs.installation_tags import InstallationTags
from drs.shapes import SourceServer
from executions import installation
from executions.models import Installation, LaunchJob, WaveRun
from executions.runs.account_check import wait_for_answer
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import ClaimLost, Run
from executions.states import JobStatus

BUNDLE_PATIENCE = timedelta(seconds=15)  # how long a launch waits at most until a bundle has its run
BUNDLE_LOOK = timedelta(seconds=1)


def holds_back(
    run: Run,
    wave: WaveRun,
    job: LaunchJob,
    servers: Sequence[str],
    listed: Mapping[str, SourceServer] | None,
    clock: Clock,
) -> AwsCalls[bool]:
    """Before a launch is intended: True when it is not to be sent now. Raises ClaimLost."""
    ours = installation.own()
    if ours.superseded_by:
        _stop(run, wave, job, clock)
        return True
    found: Sequence[SourceServer] = list(listed.values()) if listed else []
    if ours.epoch > 1 or ours.bundled_at is not None:
        try:
            found = yield partial(_at(job).source_servers, servers)
        except DrsError as error:
            wait_for_answer(run, wave, job, error, clock())
            return True
    if installation.notice(found, clock()):
        _stop(run, wave, job, clock)
        return True
    return ours.epoch > 1 and (yield from _marks_first(run, wave, job, ours, found, clock))


def _at(job: LaunchJob) -> Drs:
    return Drs(job.region, job.account_id, reading="poller")


def _stop(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> None:
    error = DrsError(
        Trouble.OTHER_ACCOUNT,
        code=SUPERSEDED,
        message=installation.STOPPED,
        region=job.region,
        operation="StartRecovery",
    )
    wait_for_answer(run, wave, job, error, clock())


def _marks_first(
    run: Run, wave: WaveRun, job: LaunchJob, ours: Installation, found: Sequence[SourceServer], clock: Clock
) -> AwsCalls[bool]:
    """Servers that do not have our mark get it, and the launch is looked at again: it is sent when DRS shows the mark.
    Until then the one before us may have launched them, in a run that we have from it."""
    mark = str(installation.mark_of(ours))
    without = [each.source_server_id for each in found if each.installation != mark]
    if not without:
        return False
    try:
        yield partial(InstallationTags(job.region, job.account_id).write, without, mark)
    except DrsError as error:
        wait_for_answer(run, wave, job, error, clock())
        return True
    now = clock()
    later = now + timedelta(seconds=1)
    columns: dict[str, object] = {"not_before": later}
    if ours.took_over_at is None or run.execution.started_at <= ours.took_over_at:
        columns = {"not_before": now + timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS), "cleared_at": now}
    with transaction.atomic():
        run.write(now)
        if not LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt).update(**columns):
            raise ClaimLost
    return True


def waits_for_bundle(run: Run, job: LaunchJob, clock: Clock) -> bool:
    """A run launches nothing before a bundle has it, so that none is ever lost with the installation; but it waits for
    no store that is slow or does not answer. Raises ClaimLost."""
    if not settings.BUNDLE:
        return False
    now, ours = clock(), installation.own()
    if now > run.execution.started_at + BUNDLE_PATIENCE or ours.bundle_failing_since is not None:
        return False
    if str(run.execution.pk) in ours.bundled_runs:
        return False
    with transaction.atomic():
        run.write(now)
        LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED).update(not_before=now + BUNDLE_LOOK)
    return True
