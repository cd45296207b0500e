"""A dry run: every server of every wave is looked at as a launch would find it now, and nothing is launched.

It asks DRS only what changes nothing, and never comes near `launch`. A few servers are done a turn, then the run is
left to whoever comes next, so that no turn is long.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypedDict

from django.conf import settings
from django.db import transaction

from accounts.registry import way_of
from contract.clock import Clock, unix
from contract.plurals import counted
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import SourceServer as DrsServer
from executions.codes.ours import Code
from executions.codes.readiness import Against
from executions.launching.snapshots import GONE as SNAPSHOT_GONE
from executions.launching.snapshots import NONE_THEN, chosen_of
from executions.measuring import forecast
from executions.models import LaunchJob, ServerHold, ServerRun, WaveRun
from executions.readiness.assessment import Finding, findings
from executions.readiness.facts import known_of, regions_now, servers_of
from executions.readiness.native import native_reasons
from executions.readiness.room import room_reasons
from executions.readiness.terms import PlanFacts, Reason, ServerFacts, WaveFacts
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.account_check import MAX_DOUBLINGS
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run
from executions.runs.current_wave import current_wave
from executions.runs.gates.asked import gates_in_force, told
from executions.runs.journal import note
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, Phase, Verdict, WaveStatus
from plans.models import OnFailure
from protection.inventory import launch_details, native_runs, source_servers

SERVERS_PER_TURN = 20
TRIES = 3  # how often AWS is asked before a server counts as not checked


class FindingRow(TypedDict):
    """A finding as rows and API have it."""

    code: str
    severity: str
    message: str


def finding_row(each: Finding | Reason) -> FindingRow:
    """A finding in its kept form."""
    return FindingRow(code=each.code, severity=each.weight.severity, message=each.text)


def dry_run_turn(run: Run, clock: Clock) -> AwsCalls[bool]:
    """One turn of a dry run; True when there is more to do now. Raises ClaimLost when the run was taken over."""
    now = clock()
    wave = current_wave(run.waves)
    if run.execution.cancel_requested_at is not None:
        _cancel(run, now)
        return False
    if wave is None:
        _finish(run, now)
        return False
    job = LaunchJob.objects.filter(wave=wave, status=JobStatus.QUEUED).order_by("position").first()
    if job is not None:
        return (yield from _check_servers(run, wave, job, clock))
    _settle(run, wave, now)
    return True


def _check_servers(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> AwsCalls[bool]:
    """Look at the next servers of a job, live, and write down those that a round has time for, so that a slow DRS
    outlasts neither the lease nor a worker's patience. False when AWS is to be asked again later."""
    this_round = launch_details.Round()
    _begin(run, wave, clock())
    rows = list(job.servers.filter(phase=Phase.QUEUED).order_by("position")[:SERVERS_PER_TURN])
    ids = [row.source_server_id for row in rows]
    try:
        present: list[DrsServer] = yield partial(Drs(job.region, job.account_id, reading="poller").source_servers, ids)
        run.write(clock())
        running = yield partial(launch_details.fetch_jobs, job.region, job.account_id, clock())
        if isinstance(running, DrsError):
            raise running
        source_servers.store(job.region, job.account_id, present, whole_region=False)
        run.write(clock())
        launch_details.keep_jobs(job.region, job.account_id, running, clock())
        native_runs.keep((yield partial(native_runs.fetch, job.region, job.account_id)))
        run.write(clock())
        unread = {server.source_server_id for server in present}
        without: dict[str, str] = {}
        lacks = launch_details.lacks_templates(job.region, job.account_id)
        ask = partial(launch_details.fetch_detail, with_template=not lacks)
        for server in present:
            detail: launch_details.Detail = yield partial(ask, job.region, job.account_id, server.source_server_id)
            if detail.error is not None:
                raise detail.error
            run.write(clock())
            launch_details.keep_detail(detail, clock())
            without |= yield from _without_snapshot(run, job, server.source_server_id)
            unread.remove(server.source_server_id)
            if this_round.is_over:
                break
    except DrsError as error:
        return _after_aws_failure(run, wave, job, rows, error, clock())
    looked_at = [row for row in rows if row.source_server_id not in unread]
    found = _findings(run, job, looked_at, {each.source_server_id for each in present}, without, clock())
    _write(run, wave, job, looked_at, found, clock())
    return True


def _without_snapshot(run: Run, job: LaunchJob, server: str) -> AwsCalls[dict[str, str]]:
    """Why a server has not the snapshot that it is to be launched from; raises DrsError while nobody says."""
    chosen = chosen_of(job).get(server)
    if chosen is None:
        at = run.execution.snapshots_until
        return {} if at is None else {server: NONE_THEN.format(at=at)}
    snapshot, at = chosen
    listed = yield partial(Drs(job.region, job.account_id, reading="poller").snapshots, server, at)
    return {} if any(each.snapshot_id == snapshot for each in listed) else {server: SNAPSHOT_GONE}


def _begin(run: Run, wave: WaveRun, now: datetime) -> None:
    with transaction.atomic():
        run.write(now, status=ExecutionStatus.RUNNING)
        if wave.started_at is None:
            wave.status, wave.started_at = WaveStatus.INITIATED, now
            wave.save(update_fields=["status", "started_at"])
            transitions.touch(run.execution, now, [wave])


def _findings(
    run: Run, job: LaunchJob, rows: Sequence[ServerRun], present: set[str], without: Mapping[str, str], now: datetime
) -> Mapping[int, Sequence[FindingRow]]:
    """What stands against the launch of each of these servers, now that the inventory has just been told of them."""
    ids = [row.source_server_id for row in rows]
    known = servers_of(ids)
    holds = ServerHold.objects.filter(assignment__source_server_id__in=ids)
    held = dict(holds.values_list("assignment__source_server_id", "execution__plan_name"))
    way = way_of(job.account_id)
    [region] = known_of([(way, job.region)], regions_now()).values()
    found: dict[int, Sequence[FindingRow]] = {}
    for row in rows:
        facts = known.get(row.source_server_id) or ServerFacts(row.source_server_id, row.hostname, job.region, way=way)
        gone = row.source_server_id not in present
        facts = replace(
            facts,
            gone=gone,
            held_by=held.get(row.source_server_id, ""),
            chosen_at=row.snapshot_at,
            chosen_gone=without.get(row.source_server_id, ""),
        )
        found[row.pk] = [finding_row(each) for each in findings(facts, region, run.execution.rpo_minutes, now)]
    return found


def _after_aws_failure(
    run: Run, wave: WaveRun, job: LaunchJob, rows: Sequence[ServerRun], error: DrsError, now: datetime
) -> bool:
    """AWS did not answer: ask again in a while; what was never told counts as found wanting, not as well."""
    tries = run.execution.failures + 1
    if error.trouble is Trouble.OTHER_ACCOUNT:
        _wait_for_credentials(run, error, now)
        return False
    if not error.effect.is_final and tries < TRIES:
        run.release(now + d.backoff(tries - 1, settings.POLL_SECONDS), failures=tries, aws_error=str(error))
        return False
    text = f"It could not be checked. {error.code}: {error.message}"
    unknown = [FindingRow(code=Against.NOT_CHECKED, severity=Verdict.NOT_READY.severity, message=text)]
    _write(run, wave, job, rows, {row.pk: unknown for row in rows}, now)
    return True


def _wait_for_credentials(run: Run, error: DrsError, now: datetime) -> None:
    """What another account does not see says nothing of the servers: the dry run waits, for as long as that takes."""
    since, failures = run.execution.failing_since or now, run.execution.failures
    later = now + d.backoff(min(failures, MAX_DOUBLINGS), settings.POLL_SECONDS)
    run.release(later, failures=failures + 1, failing_since=since, aws_error=str(error))


def _write(
    run: Run,
    wave: WaveRun,
    job: LaunchJob,
    rows: Sequence[ServerRun],
    found: Mapping[int, Sequence[FindingRow]],
    now: datetime,
) -> None:
    for row in rows:
        against = [each["message"] for each in found[row.pk] if each["severity"] == Verdict.NOT_READY.severity]
        row.findings, row.phase, row.error = list(found[row.pk]), Phase.DONE, " ".join(against)
        row.launch_status = LaunchStatus.FAILED if against else LaunchStatus.PENDING
    with transaction.atomic():
        run.write(now, failures=0, failing_since=None, aws_error="")
        ServerRun.objects.bulk_update(rows, ["findings", "phase", "error", "launch_status"])
        if not job.servers.filter(phase=Phase.QUEUED).exists():
            LaunchJob.objects.filter(pk=job.pk).update(status=JobStatus.WITHDRAWN)
        transitions.touch(run.execution, now, [wave])


def _settle(run: Run, wave: WaveRun, now: datetime) -> None:
    """All servers of a wave were looked at: say in a sentence what a launch of it would meet."""
    rows = list(wave.servers.all())
    failed = sum(row.launch_status == LaunchStatus.FAILED for row in rows)
    needed = any(row.launch_status == LaunchStatus.FAILED and not row.optional for row in rows)
    warned = sum(bool(row.findings) for row in rows) - failed
    said = [
        f"{counted(len(rows), 'server')} checked, nothing was launched: {failed} would fail, {warned} with warnings."
    ]
    with transaction.atomic():
        run.write(now)
        wave.status = WaveStatus.FAILED if needed else WaveStatus.COMPLETED
        wave.ended_at, wave.status_message = now, " ".join([*said, *_consequences(run, wave)])
        wave.save(update_fields=["status", "ended_at", "status_message"])
        transitions.touch(run.execution, now, [wave])
        note(run.execution, f"wave.{wave.status.lower()}", wave=wave.number, text=wave.status_message)


def _consequences(run: Run, wave: WaveRun) -> Iterable[str]:
    """What the wave's place in the plan would mean for it."""
    failed, skipped = _not_completing(run.waves[: wave.number])
    stopper = next((each for each in failed if OnFailure(run.waves[each].on_failure).stops_plan), None)
    missing = next((each for each in wave.depends_on if each in failed | skipped), None)
    if stopper is not None:
        yield f"It would be skipped: wave {stopper + 1} would fail, and the plan stops there."
    elif missing is not None:
        yield f"It would be skipped: it depends on wave {missing + 1}, which would not complete."
    if wave.wait_minutes_before:
        yield f"A run waits {wave.wait_minutes_before} min before it."
    if gate := gates_in_force(run.waves)[wave.number]:
        yield f"A run waits before it for people, for as long as they take: {told(gate)}."
    elif wave.pause_before:
        yield "A run pauses before it."
    if wave.state is WaveStatus.FAILED and OnFailure(wave.on_failure).asks_a_person:
        yield "A run would pause after it, until somebody decides how it goes on."


def _not_completing(waves: Iterable[WaveRun]) -> tuple[set[int], set[int]]:
    """Numbers of the waves that would fail, and of those that would be skipped because of them."""
    failed, skipped = set[int](), set[int]()
    for each in waves:
        if (failed | skipped).intersection(each.depends_on):
            skipped.add(each.number)
        elif each.state is WaveStatus.FAILED:
            failed.add(each.number)
    return failed, skipped


def _cancel(run: Run, now: datetime) -> None:
    waves = [wave for wave in run.waves if not wave.state.is_final]
    with transaction.atomic():
        run.write(now, **transitions.end_columns(run.execution, ExecutionStatus.CANCELLED, now))
        transitions.skip(waves, "The dry run was cancelled before this wave was checked.", now)
        transitions.touch(run.execution, now, waves)
        note(run.execution, "execution.ended", outcome=ExecutionStatus.CANCELLED.value, endTime=unix(now))


def _finish(run: Run, now: datetime) -> None:
    """The verdict on the whole plan, the quotas, and how long a run would take."""
    bad = ServerRun.objects.filter(wave__execution=run.execution, launch_status=LaunchStatus.FAILED)
    failed = bad.count()
    status = ExecutionStatus.FAILED if bad.filter(optional=False).exists() else ExecutionStatus.COMPLETED
    total = ServerRun.objects.filter(wave__execution=run.execution).count()
    columns = transitions.end_columns(run.execution, status, now)
    columns["rehearsal"] = {
        "findings": [finding_row(each) for each in _plan_reasons(run)],
        **forecast.predict_duration(run.execution),
    }
    if failed:
        columns["error_message"] = f"{failed} of {counted(total, 'server')} would not launch. Nothing was launched."
    with transaction.atomic():
        run.write(now, **columns)
        transitions.touch(run.execution, now)
        note(run.execution, "execution.ended", outcome=status.value, endTime=unix(now))


def _plan_reasons(run: Run) -> Iterable[Reason]:
    """What every region has room for, and a run of the plan that is in the way."""
    placed: dict[int, list[ServerFacts]] = {wave.pk: [] for wave in run.waves}
    rows = list(
        ServerRun.objects.filter(wave__execution=run.execution).values_list(
            "wave_id", "source_server_id", "hostname", "job__region", "job__account_id"
        )
    )
    inventory = servers_of([server for _, server, *_ in rows])
    for wave, server, hostname, region, account in rows:
        placed[wave].append(inventory.get(server) or ServerFacts(server, hostname, region, way=way_of(account)))
    used = {server.place for servers in placed.values() for server in servers}
    facts = PlanFacts(
        plan_id=run.execution.pk,
        name=run.execution.plan_name,
        version=0,
        waves=[WaveFacts(wave.number, placed[wave.pk]) for wave in run.waves],
        regions=known_of(used, regions_now()),
    )
    yield from room_reasons(facts)
    yield from native_reasons(facts)
    plan = run.execution.plan
    if plan is not None and (active := plan.executions.filter(ended_at=None, dry_run=False).first()):
        text = f"The plan is running now ({active.status.lower()}); a start would be refused."
        yield Reason(Code.PLAN_ALREADY_EXECUTING, Verdict.READY_WITH_WARNINGS, text)
