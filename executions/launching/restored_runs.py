"""Runs that were read from a backup: see docs/adr/0011-restore.md.

A backup knows nothing of what was launched, cancelled or resumed after it. So before anything else DRS is asked for
every launch that may have been sent since, by its tag, and what is found is taken over. Nothing more is launched
until a person resumes the run.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest

from audit.actor import SYSTEM
from contract.clock import Clock, db_clock
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import NOT_A_LAUNCH, Job
from executions.launching import adopt, refusals
from executions.models import Execution, LaunchJob
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import ClaimLost, Run, unconfirmed_launches
from executions.runs.current_wave import current_wave
from executions.runs.journal import note
from executions.states import WAVE_FINAL, ExecutionStatus, JobStatus, WaveStatus

LOOK_BACK = timedelta(hours=3)  # before the run began: by a clock that is lost, too, and may have been wrong
LOOKING = "This run was restored from a backup. AWS is checked for launches made since; nothing more is launched."
LOOKED = (
    "This run was restored from a backup. Everything AWS knows about it is recorded; this wave is not included."
    " It may have been cancelled after the backup: check, then resume or cancel."
)


def prepare_for_recount(clock: Clock = db_clock) -> list[Execution]:
    """Have engines look for launches of every active run, and an operator resume it. Right after a restore, before any
    engine starts."""
    with transaction.atomic():
        now = clock()
        Execution.objects.active().filter(dry_run=True).update(claim=None, next_step_at=now)
        runs = list(Execution.objects.active().filter(dry_run=False))
        for run in runs:
            _prepare_run(run)
        ids = [run.pk for run in runs]
        Execution.objects.filter(pk__in=ids).update(
            status=ExecutionStatus.RUNNING, restored_at=now, claim=None, next_step_at=now, pause_requested_at=None
        )
        for run in runs:
            transitions.touch(run, now, run.waves.exclude(status__in=WAVE_FINAL))
    return runs


def _prepare_run(run: Execution) -> None:
    unsent = LaunchJob.objects.filter(wave__execution=run, status__in=[JobStatus.QUEUED, JobStatus.INITIATED])
    unsent.exclude(wave__status__in=WAVE_FINAL).update(status=JobStatus.INITIATED, attempt=Greatest(F("attempt"), 1))
    paused = run.waves.filter(status=WaveStatus.PAUSED)
    paused.filter(started_at=None).update(status=WaveStatus.PENDING, resumed_at=None)
    paused.update(status=WaveStatus.INITIATED)
    run.waves.filter(asked_at__isnull=False, answered_at=None).update(asked_at=None)  # asked again once resumed
    current = current_wave(run.waves.order_by("number"))
    if current is not None:
        run.waves.filter(pk=current.pk).update(status_message=LOOKING)
    note(
        run,
        "execution.restored",
        actor=SYSTEM,
        before={"status": run.status},
        after={"status": ExecutionStatus.RUNNING},
    )


def find_launches(run: Run, clock: Clock) -> AwsCalls[bool]:
    """Adopt every launch of the run that DRS has and the database does not; False while a region cannot be asked. What
    the others return is recorded all the same, and they are not asked again."""
    by_place: dict[tuple[str, str], list[LaunchJob]] = defaultdict(list)
    for job in unconfirmed_launches(run.execution).select_related("wave"):
        by_place[job.account_id, job.region].append(job)
    silent: list[DrsError] = []
    since = run.execution.started_at - LOOK_BACK
    for (account, region), jobs in sorted(by_place.items()):
        try:
            known = yield partial(Drs(region, account, reading="poller").jobs_since, since)
        except DrsError as error:
            if error.trouble is not Trouble.NOT_INITIALIZED:
                silent.append(error)
                run.write(clock())  # each of many that hang may take a fifth of the lease
                continue
            known = []  # where DRS was never set up nothing was launched
        _make_rows_of_parts(run, jobs, known, clock())
        for job in unconfirmed_launches(run.execution).filter(account_id=account, region=region).select_related("wave"):
            adopt.adopt_found(run, job.wave, job, known, clock)
        _allow_sending(run, account, region, clock())
    if silent:
        _ask_later(run, silent, clock())
        return False
    _hand_to_operator(run, clock())
    return True


def _make_rows_of_parts(run: Run, jobs: Sequence[LaunchJob], known: Sequence[Job], now: datetime) -> None:
    """Launches of this run whose tag no row has: jobs were split after the backup. Their rows are made anew, with the
    servers that DRS names, so that they are found like any other and nothing of them is sent again."""
    tags = {str(each) for each in LaunchJob.objects.filter(wave__execution=run.execution).values_list("pk", flat=True)}
    for found in known:
        tag = "" if found.type in NOT_A_LAUNCH else found.tags.get(adopt.LAUNCH_TAG, "")
        if found.tags.get(adopt.EXECUTION_TAG) != str(run.execution.pk) or tag in tags or not _is_id(tag):
            continue
        named = [each.source_server_id for each in found.participants]
        for job in jobs:
            with transaction.atomic():
                run.write(now)
                rows = job.servers.filter(source_server_id__in=named)
                if rows.exists():
                    refusals.recreate_part(job, rows, uuid.UUID(tag))
                    break


def _is_id(tag: str) -> bool:
    try:
        return str(uuid.UUID(tag)) == tag
    except ValueError:
        return False


def _allow_sending(run: Run, account: str, region: str, now: datetime) -> None:
    """What was not found may be sent when an operator resumes, and not before every earlier request has expired."""
    quarantine = timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)
    with transaction.atomic():
        restored_at = run.execution.restored_at
        if restored_at is None:
            raise ClaimLost  # a person was faster
        run.write(now)
        unconfirmed_launches(run.execution).filter(account_id=account, region=region).update(
            status=JobStatus.QUEUED,
            not_before=restored_at + quarantine,
            refused_since=None,
            refused_as="",
            cleared_at=now,
        )


def _ask_later(run: Run, silent: Sequence[DrsError], now: datetime) -> None:
    """Leave the silent regions alone for a while. What was taken over elsewhere is polled meanwhile."""
    taken_over = LaunchJob.objects.filter(wave__execution=run.execution, watched=True)
    cancelled = run.execution.cancel_requested_at is not None
    run.release(
        now + d.backoff(run.execution.failures, settings.POLL_SECONDS),
        status=d.running_status(d.wave_status([job.state for job in taken_over]), cancelled=cancelled),
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", now),
        aws_error="; ".join(map(str, silent)),
        updated_at=now,
    )


def _hand_to_operator(run: Run, now: datetime) -> None:
    """Every region has been asked: say where the run stands."""
    with transaction.atomic():
        run.write(now, failures=0, failing_since=None, aws_error="")
        waves = run.execution.waves
        waves.filter(status_message=LOOKING).update(status_message="")
        waiting = waves.filter(~Q(status__in=WAVE_FINAL), jobs__status=JobStatus.QUEUED).order_by("number").first()
        if waiting is not None:
            waves.filter(pk=waiting.pk).update(status_message=LOOKED)
        transitions.touch(run.execution, now, waves.exclude(status__in=WAVE_FINAL))
        note(run.execution, "execution.recounted", waits=None if waiting is None else waiting.number)
