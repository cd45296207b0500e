"""A finished run as one document: what was planned, what happened, what it achieved. Page, JSON, CSV and PDF show it.

Times are Unix seconds, durations seconds, waves are numbered from 0; `drsorch_verify` reads the same document offline.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from contract.clock import unix
from executions.api.server_runs import FindingShape
from executions.measuring import recorded_figures
from executions.measuring.rta_rpa import (
    Attempt,
    Measured,
    ServerFigures,
    Split,
    Verdict,
    WaveFigures,
    WaveRows,
    attempts_before,
    measure,
    rows_of,
)
from executions.measuring.time_parts import Part
from executions.measuring.usable import EvidenceShape, evidence, usable_rto
from executions.models import Execution, ServerRun, WaveRun
from executions.models.not_launched import why_not_launched
from executions.runs.attempts import LeftOut
from executions.runs.failures import code_of
from findings.representation import RecordedFindingShape, SignOffShape
from plans.gates import GateShape
from reports.failures import FailureShape, failures
from reports.parts import people
from reports.parts.comparison import ComparisonShape, compare
from reports.parts.gates import Entries, GateEntryShape, gate_entries, looked_at, show
from reports.parts.jobs import JobShape, show_job
from reports.parts.journal_entries import JournalShape, entries_of, journal_shape
from reports.parts.pending_data import expected
from reports.parts.steered import EarlierLaunchShape, EventShape, LeftOutShape, earlier_launches, left_out, why_left_out
from reports.sentences import verdict
from reports.terminations import CleanupShape, cleanup

FORMAT = "drsorch-report/2"
Ends = Mapping[tuple[str, int], recorded_figures.Launches]


class SplitShape(TypedDict):
    """Seconds by what they were spent on; together the whole stretch."""

    person: int
    quota: int
    queue: int
    cleanup: int
    snapshot: int
    conversion: int
    launch: int
    other: int


class TargetShape(TypedDict):
    """A figure against its target: MET, MISSED (by how much), NOT_REACHED, READING (AWS is still asked), UNKNOWN or
    NO_TARGET."""

    reached: str
    seconds: int | None
    targetSeconds: int | None
    missedBySeconds: int | None


class ServerShape(EvidenceShape):
    sourceServerId: str
    hostname: str
    launchId: str
    launchStatus: str
    recoveryInstanceId: str | None
    launchTime: int | None
    pointInTime: int | None
    lagSeconds: int | None
    usedPreviousSnapshot: bool
    late: bool
    notLaunched: str | None
    error: str | None
    errorCode: str | None
    optional: bool
    excluded: LeftOutShape | None
    findings: list[FindingShape]
    events: list[EventShape]
    earlierLaunches: list[EarlierLaunchShape]
    rtoSeconds: int | None
    tookSeconds: int | None
    split: SplitShape
    rpo: TargetShape


class RetryShape(TypedDict):
    """Failed servers launched again within the run: since when it had waited for that."""

    askedTime: int
    retriedTime: int


class WaveShape(TypedDict):
    waveNumber: int
    waveName: str
    status: str
    statusMessage: str
    startTime: int | None
    endTime: int | None
    pausedTime: int | None
    resumedTime: int | None
    resumedBy: str | None
    gate: GateShape | None
    gateEntries: list[GateEntryShape]
    askedTime: int | None
    answeredTime: int | None
    answeredBy: str | None
    startsAt: int | None
    attempt: int
    retries: list[RetryShape]
    skipped: LeftOutShape | None
    waitedSeconds: int
    errorCode: str | None
    errorMessage: str | None
    rtoSeconds: int | None
    tookSeconds: int | None
    lastServerId: str | None
    split: SplitShape
    jobs: list[JobShape]
    servers: list[ServerShape]


class MeasuredShape(TypedDict):
    """The recovery time achieved (`rto`: to the last server launched) and the recovery point achieved (`rpo`: of the
    worst server, `rpoLagSeconds` of it the lag of its source), each against its target and from `referenceTime`: the
    declared outage, or the first attempt's start. `rtoFromStartSeconds` is the recovery time from that start,
    `usableRto` the time from `referenceTime` to the last server that was usable.

    Over all servers of all attempts so far, each as the last one left it.
    """

    complete: bool
    servers: int
    launchedServers: int
    referenceTime: int
    rto: TargetShape
    rtoFromStartSeconds: int | None
    usableRto: TargetShape
    rpo: TargetShape
    rpoLagSeconds: int
    rpoUnknownServers: int
    rpoReadingServers: int
    laterThanOutageServers: int
    previousSnapshotServers: int
    split: SplitShape


class AttemptShape(TypedDict):
    """An attempt before this one; its figures count from the first one's start, too."""

    executionId: str
    attempt: int
    leftOut: list[LeftOut]
    status: str
    startedBy: str
    startTime: int
    endTime: int | None
    lookedAt: dict[str, Any]
    waves: list[WaveShape]


class RecordShape(TypedDict):
    """The report of a finished run. `expected` says what AWS has not told yet, so that the report may change;
    `lookedAt` has, by its digest, each state of the run at which it was approved or let go on."""

    format: str
    generatedTime: int
    verdict: str
    expected: list[str]
    executionId: str
    runNumber: int | None
    planId: str | None
    planName: str
    executionType: str
    dryRun: bool
    status: str
    initiatedBy: str
    startedBy: str
    startTime: int
    firstStartTime: int
    endTime: int | None
    outageTime: int | None
    pointInTime: int | None
    attempt: int
    retryOf: str | None
    leftOut: list[LeftOut]
    earlier: list[AttemptShape]
    rehearsal: dict[str, Any] | None
    rtoMinutes: int | None
    rpoMinutes: int | None
    errorCode: str | None
    errorMessage: str | None
    plan: dict[str, Any]
    measured: MeasuredShape
    lookedAt: dict[str, Any]
    waves: list[WaveShape]
    failures: list[FailureShape]
    comparison: ComparisonShape | None
    cleanup: CleanupShape
    findings: list[RecordedFindingShape]
    signOffs: list[SignOffShape]
    journal: list[JournalShape]


def record(execution: Execution, now: datetime) -> RecordShape:
    """The document of a run read `with_waves`, in a fixed number of queries."""
    rows, before = rows_of(execution), attempts_before(execution)
    figures = measure(execution, rows, before)
    journal = entries_of(execution.pk, *(each.execution.pk for each in before))
    ends = recorded_figures.ends_of(journal)
    acts = gate_entries(each.run for of in (rows, *(each.waves for each in before)) for each in of)
    return RecordShape(
        format=FORMAT,
        generatedTime=unix(now),
        verdict=verdict(execution, figures),
        expected=expected(rows),
        executionId=str(execution.pk),
        runNumber=execution.number,
        planId=execution.plan_copy.get("planId"),
        planName=execution.plan_name,
        executionType=execution.kind,
        dryRun=execution.dry_run,
        status=execution.status,
        initiatedBy=execution.initiated_by,
        startedBy=execution.started_by,
        startTime=unix(execution.started_at),
        firstStartTime=unix(figures.start),
        endTime=unix(execution.ended_at),
        outageTime=unix(execution.outage_at),
        pointInTime=unix(execution.snapshots_until),
        attempt=execution.attempt,
        retryOf=str(execution.retry_of_id) if execution.retry_of_id else None,
        leftOut=execution.left_out or [],
        earlier=[_attempt(each, waves, ends, acts) for each, waves in zip(before, figures.earlier, strict=True)],
        rehearsal=execution.rehearsal,
        rtoMinutes=execution.rto_minutes,
        rpoMinutes=execution.rpo_minutes,
        errorCode=execution.error_code or None,
        errorMessage=execution.error_message or None,
        plan=execution.plan_copy,
        measured=_measured(figures, usable_rto(execution, figures, [rows, *(each.waves for each in before)])),
        lookedAt=looked_at(execution.pk, acts),
        waves=_waves(figures.waves, rows, ends, acts),
        failures=failures(execution, rows),
        comparison=compare(execution, figures),
        cleanup=cleanup(execution, rows),
        findings=people.findings(execution),
        signOffs=people.sign_offs(execution),
        journal=[journal_shape(entry) for entry in journal if entry.subject_id == str(execution.pk)],
    )


def _split(split: Split) -> SplitShape:
    return cast("SplitShape", {part.value: split[part] for part in Part})


def _target(found: Verdict) -> TargetShape:
    return TargetShape(
        reached=found.reached, seconds=found.seconds, targetSeconds=found.target, missedBySeconds=found.missed_by
    )


def _measured(figures: Measured, usable: Verdict) -> MeasuredShape:
    return MeasuredShape(
        complete=figures.complete,
        servers=len(figures.servers),
        launchedServers=sum(each.launched for each in figures.servers),
        referenceTime=unix(figures.reference),
        rto=_target(figures.rto),
        rtoFromStartSeconds=figures.from_start,
        usableRto=_target(usable),
        rpo=_target(figures.rpo),
        rpoLagSeconds=figures.rpo_lag,
        rpoUnknownServers=figures.rpo_unknown,
        rpoReadingServers=figures.rpo_reading,
        laterThanOutageServers=figures.later_than_outage,
        previousSnapshotServers=figures.previous_snapshots,
        split=_split(figures.split),
    )


def _attempt(attempt: Attempt, figures: Sequence[WaveFigures], ends: Ends, acts: Entries) -> AttemptShape:
    run = attempt.execution
    return AttemptShape(
        executionId=str(run.pk),
        attempt=run.attempt,
        leftOut=run.left_out or [],
        status=run.status,
        startedBy=run.started_by,
        startTime=unix(run.started_at),
        endTime=unix(run.ended_at),
        lookedAt=looked_at(run.pk, acts),
        waves=_waves(figures, attempt.waves, ends, acts),
    )


def _waves(figures: Sequence[WaveFigures], rows: Sequence[WaveRows], ends: Ends, acts: Entries) -> list[WaveShape]:
    return [_wave(wave, each, ends, acts) for wave, each in zip(figures, rows, strict=True)]


def _wave(figures: WaveFigures, rows: WaveRows, ends: Ends, acts: Entries) -> WaveShape:
    run: WaveRun = figures.row
    told = ends.get((str(run.execution_id), run.number))
    return WaveShape(
        waveNumber=run.number,
        waveName=run.name,
        status=run.status,
        statusMessage=run.status_message,
        startTime=unix(run.started_at),
        endTime=unix(run.ended_at),
        pausedTime=unix(run.paused_at),
        resumedTime=unix(run.resumed_at),
        resumedBy=run.resumed_by or None,
        gate=run.gate,
        gateEntries=show(acts.get(run.pk, ())),
        askedTime=unix(run.asked_at),
        answeredTime=unix(run.answered_at),
        answeredBy=run.answered_by or None,
        startsAt=unix(run.starts_at),
        attempt=run.attempt,
        retries=[RetryShape(askedTime=asked, retriedTime=at) for asked, at in run.retries or ()],
        skipped=left_out(run.skipped),
        waitedSeconds=figures.waited,
        errorCode=run.error_code or None,
        errorMessage=run.error_message or None,
        rtoSeconds=figures.rto,
        tookSeconds=figures.took,
        lastServerId=figures.last.source_server_id if figures.last else None,
        split=_split(figures.split),
        jobs=[show_job(job) for job in rows.jobs],
        servers=[_server(each, rows, late=recorded_figures.is_late(each.row, run, told)) for each in figures.servers],
    )


def _server(figures: ServerFigures, rows: WaveRows, *, late: bool) -> ServerShape:
    row: ServerRun = figures.row
    events = rows.events.get(row.source_server_id, ())
    job = next(each for each in rows.jobs if each.pk == row.job_id)
    is_open = not row.state.is_settled and row.excluded is None
    why = why_not_launched(rows.run.execution, rows.run, job) if is_open else ""
    return ServerShape(
        **evidence(row),
        sourceServerId=row.source_server_id,
        hostname=row.hostname,
        launchId=str(row.job_id),
        launchStatus=row.launch_status,
        recoveryInstanceId=row.recovery_instance_id or None,
        launchTime=unix(row.launched_at),
        pointInTime=unix(row.point_in_time),
        lagSeconds=row.lag_seconds,
        usedPreviousSnapshot=row.used_previous_snapshot,
        late=late,
        notLaunched=why or None,
        error=row.error or why_left_out(row.excluded) or why or None,
        errorCode=code_of(row, job) or None,
        optional=row.optional,
        excluded=left_out(row.excluded),
        findings=row.findings,
        events=[EventShape(time=unix(event.at), event=event.event) for event in events],
        earlierLaunches=earlier_launches(rows.earlier.get(row.source_server_id, ())),
        rtoSeconds=figures.rto,
        tookSeconds=figures.took,
        split=_split(figures.split),
        rpo=_target(figures.rpo_verdict),
    )
