"""Launching servers exactly once, although StartRecovery has no idempotency token.

Intent committed, then the call, then the job id committed. What was intended and never confirmed is looked up at
DRS before anything is sent again, and sent again only when no earlier request can still be accepted. What AWS has
certainly refused needs no such look.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from django.conf import settings
from django.db import transaction
from django.db.models import Min

from audit.models import AuditEntry
from contract.clock import Clock, unix
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Trouble, where
from drs.roles import role_of
from drs.shapes import SourceServer
from executions.codes.ours import Code
from executions.launching.adopt import (
    CLOCKS_DIFFER,
    EXECUTION_TAG,
    LAUNCH_TAG,
    adopt,
    adopt_found,
    clear_failures,
    jobs_since_wave,
    look_since,
)
from executions.launching.fence import holds_back, waits_for_bundle
from executions.launching.native_first import waits_for_native
from executions.launching.occupied_by import by_occupant, jobs_of_ours, occupied_by
from executions.launching.production_guard import spares_production
from executions.launching.refusals import (
    GONE,
    Part,
    excluding,
    halves,
    leave_out,
    reject,
    requeue,
    retry_later,
    set_wave_message,
    split,
    start_wave,
    waiting_for,
)
from executions.launching.snapshots import GONE as SNAPSHOT_GONE
from executions.launching.snapshots import Chosen, chosen_of, gone_of, intended, leave_out_without
from executions.launching.waiting_line import joins_line, wait_in_line
from executions.models import LaunchJob, ServerRun, WaveRun
from executions.observing.job_questions import jobs_by_id
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.account_check import no_longer_waits, waits_for_credentials
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import ClaimLost, Run, unconfirmed_launches
from executions.runs.journal import note
from executions.runs.retry_policy import count_refusal, exclude_idle_time, is_out_of_time
from executions.states import JobStatus
from protection.inventory.source_servers import seconds_of_lag

Listed = Mapping[str, SourceServer]  # by id, as DRS lists them
SHOWN_WITHIN = timedelta(minutes=5)  # after no request could be accepted any more; no listing is later than that
OCCUPANTS_SINCE = timedelta(hours=6)  # no DRS job runs for longer


def launch(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> AwsCalls[None]:
    """Send one job of a wave. Raises ClaimLost when the run was taken over before the intent was recorded."""
    job = LaunchJob.objects.get(pk=job_id)
    exclude_idle_time(job, clock())
    if job.cleared_at is not None and (yield from _adopt_if_found(run, wave, job, clock)):
        return
    if joins_line(run, wave, job, clock()) or (yield from waits_for_credentials(run, wave, job, clock)):
        return
    if leave_out_without(run, wave, job, clock()) or waits_for_bundle(run, job, clock):
        return
    listed = yield from _listed(job)
    if listed is not None and _leave_out_gone(run, wave, job, listed, clock()):
        return
    servers, chosen = _servers(job), chosen_of(job)
    if (yield from waits_for_native(run, wave, job, servers, clock)):
        return
    if not (yield from spares_production(run, wave, job, servers, clock)):
        return
    # Opened before the intent is dated, so it never ends too late, and before DRS is asked who may launch: whoever
    # takes over waits until no request can be under way any more that was allowed before.
    window = SendWindow(settings.SEND_WINDOW_SECONDS)
    if (yield from holds_back(run, wave, job, servers, listed, clock)):
        return
    _record_intent(run, wave, job, {each: _lag_of(each, listed) for each in servers}, chosen, clock())
    try:
        answer = yield partial(
            Drs(job.region, job.account_id).start_recovery,
            servers,
            is_drill=not run.execution.purpose.is_recovery,
            tags={LAUNCH_TAG: str(job.pk), EXECUTION_TAG: str(run.execution.pk)},
            window=window,
            snapshots={server: snapshot for server, (snapshot, _) in chosen.items()},
        )
    except DrsError as error:
        yield from _after_failure(run, wave, job, error, servers, clock)
    else:
        adopt(run, wave, job, answer, clock())


def _servers(job: LaunchJob) -> list[str]:
    return list(job.servers.order_by("position").values_list("source_server_id", flat=True))


def _listed(job: LaunchJob) -> AwsCalls[Listed | None]:
    """What DRS tells of the servers of a job that it lists; one that it leaves out is asked for once more. None when it
    does not answer, which is in no launch's way: a silence says nothing of any server."""
    servers, found = _servers(job), dict[str, SourceServer]()
    for _ in range(2):
        asked = [each for each in servers if each not in found]
        try:
            told = yield partial(Drs(job.region, job.account_id, reading="poller").source_servers, asked)
        except DrsError:
            return None
        found |= {each.source_server_id: each for each in told}
        if len(found) >= len(servers):
            break
    return found


def _leave_out_gone(run: Run, wave: WaveRun, job: LaunchJob, listed: Listed, now: datetime) -> bool:
    """DRS refuses a job as a whole because of one server that it does not know any more: such a server is left out.
    True when none remains."""
    gone = [each for each in _servers(job) if each not in listed]
    return bool(gone) and leave_out(run, wave, job, [Part(gone, Code.SERVER_GONE, GONE)], now)


def _lag_of(server: str, listed: Listed | None) -> int | None:
    """How far the data of a server lags now, by DRS's word of this moment."""
    return seconds_of_lag(listed[server].lag_duration) if listed and server in listed else None


def _keep_lags(job: LaunchJob, lags: Mapping[str, int | None]) -> None:
    """A snapshot that is taken now has no younger data than that: the recovery point achieved holds it."""
    rows = list(ServerRun.objects.filter(job=job, source_server_id__in=list(lags)).only("source_server_id"))
    for row in rows:
        row.lag_seconds = lags[row.source_server_id]
    ServerRun.objects.bulk_update(rows, ["lag_seconds"], batch_size=500)


def _record_intent(
    run: Run, wave: WaveRun, job: LaunchJob, lags: Mapping[str, int | None], chosen: Chosen, now: datetime
) -> None:
    """Commit that this job is about to be sent: from here on it must be looked for before it is sent again."""
    with transaction.atomic():
        run.write(now, status=d.running_status(wave.state, cancelled=False))
        no_longer_waits(run, job, now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt, job_id="")
        columns = {"attempt": job.attempt + 1, "intent_at": now, "refused_since": job.refused_since}
        if not mine.update(status=JobStatus.INITIATED, not_before=None, stood_before=job.stood_before, **columns):
            raise ClaimLost
        job.status, job.attempt, job.intent_at = JobStatus.INITIATED, job.attempt + 1, now
        start_wave(run, wave, now)
        _keep_lags(job, lags)
        transitions.touch(run.execution, now, [wave])
        note(
            run.execution,
            "launch.intent",
            wave=wave.number,
            launch=str(job.pk),
            region=job.region,
            attempt=job.attempt,
            intentTime=unix(now),
            lags=dict(lags),
            **intended(chosen),
        )


# Finding a launch whose answer was lost


def _adopt_if_found(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> AwsCalls[bool]:
    """Look for the launch at DRS and take it over; True when there was nothing left to send, or nothing to see now."""
    try:
        jobs = yield from jobs_since_wave(run, wave, job, clock)
    except DrsError as error:
        text = f"AWS does not say whether it received the launch: {error.message}"
        now = clock()
        run.write(now, failing_since=run.execution.failing_since or now, aws_error=str(error))
        _look_up_later(run, wave, job, text, now)
        return True
    # Of a run that is polled, too, the polls say whether the other regions answer.
    account = job.account_id if role_of(job.account_id) else ""
    if f" in {where(job.region, account)}: " in run.execution.aws_error or not transitions.is_watched(run.execution):
        clear_failures(run)
    return adopt_found(run, wave, job, jobs, clock)


def adopt_late(run: Run, clock: Clock) -> AwsCalls[None]:
    """Unconfirmed launches of an abandoned run: never sent again, but adopted if DRS shows them after all."""
    for job in unconfirmed_launches(run.execution).select_related("wave"):
        asked_at = clock()
        try:
            jobs = yield from jobs_since_wave(run, job.wave, job, clock)
        except DrsError:
            continue  # asked again at the next poll
        if not adopt_found(run, job.wave, job, jobs, clock) and not _may_still_be_accepted(run, job, asked_at):
            LaunchJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="").update(
                status=JobStatus.WITHDRAWN
            )


def _may_still_be_accepted(run: Run, job: LaunchJob, asked_at: datetime) -> bool:
    """Whether a request for this launch could still be accepted when DRS was asked. That is the time that counts: the
    process may have been frozen since. A database that was lost may have sent it until the restore."""
    sent = [each for each in (job.intent_at, run.execution.restored_at) if each is not None]
    return bool(sent) and asked_at <= max(sent) + timedelta(seconds=settings.LAUNCH_QUARANTINE_SECONDS)


def reconcile(run: Run, wave: WaveRun, job_id: uuid.UUID, clock: Clock) -> AwsCalls[None]:
    """A launch was intended and never confirmed: adopt it if DRS has it, else let it be sent once that is safe."""
    job, asked_at = LaunchJob.objects.get(pk=job_id), clock()
    exclude_idle_time(job, asked_at)
    if job.state is not JobStatus.INITIATED or (yield from _adopt_if_found(run, wave, job, clock)):
        return
    now = clock()
    if job.intent_at is None or _may_still_be_accepted(run, job, asked_at):
        text = "The answer to a launch was lost; checking AWS for the launch before anything is sent again."
        _look_up_later(run, wave, job, text, now)
    elif (stands := (yield from _standing_unexplained(run, wave, job, clock))) is None:
        return
    elif stands:
        text = (
            f"AWS lists {', '.join(stands)}, which did not stand when this launch was sent, but not its job:"
            " it may be this launch. Nothing was sent again. Look at that instance before you try again."
        )
        reject(run, wave, job, Code.LAUNCH_REJECTED, text, now)
    elif is_out_of_time(job, now):
        text = f"AWS never gave a clear answer, and started nothing.{_last_words(run, job)}"
        reject(run, wave, job, Code.LAUNCH_REJECTED, text, now)
    else:
        job.cleared_at = now
        requeue(run, wave, job, now, not_before=now, message="", verb="launch.cleared")


def _standing_unexplained(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> AwsCalls[list[str] | None]:
    """Instances of its servers that came after it was sent, of jobs that DRS does not know any more: somebody may have
    deleted the very job that is looked for. None while DRS does not say."""
    if job.stood_before is None:
        return []
    drs = Drs(job.region, job.account_id, reading="poller")
    try:
        instances = yield partial(drs.recovery_instances, _servers(job))
        came = [each for each in instances if each.recovery_instance_id not in job.stood_before]
        ids = sorted({each.job_id for each in came if each.job_id})
        told, _ = yield partial(jobs_by_id, drs, ids, ())  # an id that DRS refuses is of no job that it knows
    except DrsError as error:
        _look_up_later(run, wave, job, f"AWS does not say which instances stand: {error.message}", clock())
        return None
    known = {*told, *LaunchJob.objects.filter(job_id__in=ids).values_list("job_id", flat=True)}
    return sorted(each.recovery_instance_id for each in came if each.job_id not in known)


def _last_words(run: Run, job: LaunchJob) -> str:
    """What AWS last answered to a launch, unclear as it was; of a process that died nothing was heard."""
    told = AuditEntry.objects.filter(subject_kind="execution", subject_id=str(run.execution.pk), verb="launch.unclear")
    last = next((each for each in told.order_by("-pk") if each.detail.get("launch") == str(job.pk)), None)
    return f" It last answered: {last.detail['text']}" if last is not None and "text" in last.detail else ""


def _look_up_later(run: Run, wave: WaveRun, job: LaunchJob, message: str, now: datetime) -> None:
    """Nothing is known yet; a result that was recorded meanwhile stands."""
    later = d.next_poll_slot(now, settings.POLL_SECONDS)  # with all others there: one list of jobs serves them
    with transaction.atomic():
        run.write(now)
        unknown = LaunchJob.objects.filter(pk=job.pk, status=job.status, attempt=job.attempt, job_id="")
        if unknown.update(not_before=later, refused_since=job.refused_since, refused_as=job.refused_as):
            set_wave_message(run, wave, message, now)


def _after_unclear(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, message: str, now: datetime) -> None:
    """The call has just failed and may have had its effect: look it up."""
    count_refusal(job, error.trouble, now)
    with transaction.atomic():
        _look_up_later(run, wave, job, message, now)
        text = error.with_code()
        note(run.execution, "launch.unclear", outcome=error.code, wave=wave.number, launch=str(job.pk), text=text)


# A call that failed


def _after_failure(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> AwsCalls[None]:
    trouble = error.trouble
    match trouble:
        case Trouble.UNCERTAIN:
            text = f"AWS gave no clear answer to a launch ({error.code}); checking AWS for it."
            _after_unclear(run, wave, job, error, text, clock())
        case Trouble.INVALID | Trouble.NOT_FOUND | Trouble.REFUSED:
            yield from _after_refused(run, wave, job, error, servers, clock)
        case Trouble.ACCESS_DENIED:
            _after_denied(run, wave, job, error, servers, clock())
        case Trouble.NOT_INITIALIZED | Trouble.REGION_NOT_ENABLED:
            reject(run, wave, job, Code.REGION_NOT_INITIALIZED, error.with_code(), clock())
        case Trouble.CONFLICT:
            yield from _after_busy(run, wave, job, error, servers, clock)
        case Trouble.QUOTA:
            wait_in_line(run, wave, job, error, clock())
        case (
            Trouble.THROTTLED
            | Trouble.CREDENTIALS
            | Trouble.KEY_OR_REGION
            | Trouble.UNREACHABLE
            | Trouble.NOT_SENT
            | Trouble.OTHER_ACCOUNT
        ):
            retry_later(run, wave, job, error, waiting_for(error), clock())
        case _:
            assert_never(trouble)


def _after_refused(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> AwsCalls[None]:
    """AWS will never take these servers together: it names whose fault that is, or DRS does not list it, or it is
    found by halving. Only the culprit fails; a request that is wrong by itself fails with all of them."""
    text, bad = error.with_code(), frozenset(error.names(servers, servers))
    code = Code.SERVER_GONE if error.trouble is Trouble.NOT_FOUND and bad else Code.LAUNCH_REJECTED
    if gone := (yield from gone_of(job, servers, error)):
        bad, code, text = gone, Code.SNAPSHOT_GONE, f"{SNAPSHOT_GONE} {text}"
    if not bad and len(servers) > 1 and (listed := (yield from _listed(job))) is not None:
        gone = frozenset(servers).difference(listed)
        bad, code = gone, Code.SERVER_GONE if gone else code
    if bad and len(bad) < len(servers):
        split(run, wave, job, excluding(servers, bad, code, text), error, "", clock())
    elif not bad and len(servers) > 1 and error.trouble is not Trouble.REFUSED:
        split(run, wave, job, halves(servers), error, f"Looking for the server that AWS refuses. {text}", clock())
    else:
        reject(run, wave, job, code, text, clock())


def _after_denied(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], now: datetime
) -> None:
    """A right may be missing for some servers only, by their tags: those that AWS names fail alone."""
    text, bad = error.with_code(), error.names(servers, servers)
    if bad and len(bad) < len(servers):
        split(run, wave, job, excluding(servers, bad, Code.DRS_ACCESS_DENIED, text), error, "", now)
    else:
        reject(run, wave, job, Code.DRS_ACCESS_DENIED, text, now)


def _after_busy(
    run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, servers: Sequence[str], clock: Clock
) -> AwsCalls[None]:
    """DRS is busy with a server. In this very launch, perhaps. Else say who occupies it, and
    send the servers that nothing occupies."""
    try:
        since = _occupants_since(run, wave, servers, clock())
        jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
    except DrsError:
        text = f"{error.message.rstrip('. ')}. AWS does not say which job that is."
        if not _is_other_job(job, clock()):
            _after_unclear(run, wave, job, error, text, clock())
        else:
            retry_later(run, wave, job, error, text, clock())
        return
    if not _is_other_job(job, clock()) and adopt_found(run, wave, job, jobs, clock):
        return
    ours = jobs_of_ours(jobs)
    text, is_other = occupied_by(jobs, servers, error, ours), _is_other_job(job, clock())
    parts = by_occupant(jobs, servers, ours, error.names(servers, servers) if is_other else ())
    if is_other and len(servers) > 1 and not any(each.waits for each in parts):
        parts = halves(servers, waits=True)
    if len(parts) > 1:
        split(run, wave, job, parts, error, text, clock())
    else:
        is_ours = all(each.without_limit for each in parts) if parts else bool(ours)
        # Of several nobody knows which it is: they are halved before any of them is given up.
        is_open = bool(parts) and len(servers) > 1 and not any(each.waits for each in parts)
        retry_later(run, wave, job, error, text, clock(), without_limit=is_ours or is_open)


def _is_other_job(job: LaunchJob, now: datetime) -> bool:
    """Whether a conflict with something that DRS does not show is certainly none with this very launch: a job that DRS
    shows late must still be found by the launch's tag, so for a while such a launch stays whole."""
    return job.cleared_at is None or now > job.cleared_at + SHOWN_WITHIN


def _occupants_since(run: Run, wave: WaveRun, servers: Sequence[str], now: datetime) -> datetime:
    """Since when jobs are listed that may occupy these servers: an open one of ours may be of any age."""
    open_jobs = LaunchJob.objects.filter(
        servers__source_server_id__in=servers, status__in=[JobStatus.PENDING, JobStatus.STARTED]
    )
    oldest: datetime | None = open_jobs.aggregate(oldest=Min("created_at"))["oldest"]
    return min(look_since(run, wave), now - OCCUPANTS_SINCE, (oldest or now) - CLOCKS_DIFFER)
