"""The servers of a run as the API shows them: of one run there may be thousands."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from contract.rest.answers.columns import IdText, UnixSeconds
from contract.rest.answers.ready import KeptParts
from executions.models import LaunchJob, ServerRun, WaveRun
from executions.models.not_launched import why_not_launched
from executions.runs.failures import code_of
from executions.states import UNSETTLED, LaunchStatus


class FindingShape(TypedDict):
    """Something that a dry run found; `severity` is BLOCKING, UNKNOWN or WARNING."""

    code: str
    severity: str
    message: str


class LaunchActionShape(TypedDict):
    """A post-launch action of DRS on the instance, with DRS's own words."""

    name: str
    category: str
    optional: bool
    status: str
    failureReason: str | None


class StatusChecksShape(TypedDict):
    """EC2's status checks of an instance: PENDING, OK, IMPAIRED, or UNKNOWN, also where EC2 must not be asked."""

    system: str
    instance: str


class LeftOutShape(TypedDict):
    """Who skipped a wave or left a server out, when, and why."""

    by: str
    time: int
    reason: str


class ServerRunShape(TypedDict):
    """One server. `observedLate`: it came up at most so many seconds before `launchTime`; null: then, as DRS says.
    `instanceState` is what DRS last said of the instance, of EC2, when it was looked at; TERMINATED once it is.
    `usableTime`: its status checks had passed and its required post-launch actions had succeeded; it was so at most
    `usableObservedLate` seconds before. `statusChecks` are null without an instance, and once it was terminated.
    `notLaunched`: why AWS was not asked to launch it, nor will be; its status stays PENDING.
    `recoverySnapshotId` and `snapshotTime` are of the snapshot that was chosen at the start; null: DRS takes a new
    one."""

    sourceServerId: str
    hostname: str
    launchStatus: str
    phase: str
    phaseNote: str | None
    recoveryInstanceId: str | None
    recoveryInstanceState: str | None
    instanceState: str | None
    statusChecks: StatusChecksShape | None
    launchActions: list[LaunchActionShape]
    launchTime: int | None
    observedLate: int | None
    usableTime: int | None
    usableObservedLate: int | None
    error: str | None
    errorCode: str | None
    optional: bool
    excluded: LeftOutShape | None
    recoverySnapshotId: str | None
    snapshotTime: int | None
    findings: list[FindingShape]
    notLaunched: str | None


class ServerRow(NamedTuple):
    """What is shown of a server; a tuple and not a model, because a run holds a thousand of them."""

    wave_id: int
    job_key: str
    source_server_id: str
    hostname: str
    launch_status: str
    phase: str
    phase_note: str
    recovery_instance_id: str
    recovery_instance_state: str
    instance_state: str
    system_check: str
    instance_check: str
    launch_actions: list[LaunchActionShape] | None
    launched: int | None
    observed_late: int | None
    usable: int | None
    usable_late: int | None
    optional: bool
    excluded: Mapping[str, Any] | None
    recovery_snapshot_id: str
    snapshot: int | None
    error: str
    error_code: str
    findings: list[FindingShape]


Values = tuple[Any, ...]  # of ServerRow, as they were read


def servers_of(execution_id: uuid.UUID) -> Mapping[int, list[Values]]:
    """The servers of a run by wave, in order."""
    found: dict[int, list[Values]] = defaultdict(list)
    servers = ServerRun.objects.filter(wave__execution=execution_id).order_by("wave_id", "position")
    for row in servers.annotate(
        job_key=IdText("job_id"),
        launched=UnixSeconds("launched_at"),
        usable=UnixSeconds("usable_at"),
        snapshot=UnixSeconds("snapshot_at"),
    ).values_list(*ServerRow._fields):
        found[row[0]].append(row)
    return found


KEPT = KeptParts(most=8_000_000)  # characters: those of 15,000 servers


def show_servers(wave: WaveRun, servers: Sequence[Values]) -> list[ServerRunShape]:
    """The servers of a wave, as JSON if nothing of them has changed since they were last shown."""
    jobs = {str(job.pk): job for job in wave.jobs.all()}
    why = {key: why_not_launched(wave.execution, wave, job) for key, job in jobs.items()}
    return KEPT.part(
        wave.pk,
        (servers, {key: (job.error_code, why[key]) for key, job in jobs.items()}),
        lambda: [show_server_run(row, jobs[row.job_key], why[row.job_key]) for row in map(ServerRow._make, servers)],
    )


def show_left_out(kept: Mapping[str, Any] | None) -> LeftOutShape | None:
    return None if kept is None else LeftOutShape(by=kept["by"], time=kept["time"], reason=kept["reason"])


def _checks(server: ServerRow) -> StatusChecksShape:
    return {"system": server.system_check or "UNKNOWN", "instance": server.instance_check or "UNKNOWN"}


def show_server_run(server: ServerRow, job: LaunchJob, why: str) -> ServerRunShape:
    is_open = LaunchStatus.of(server.launch_status) in UNSETTLED and server.excluded is None
    stands, gone = server.launch_status == LaunchStatus.LAUNCHED, server.launch_status == LaunchStatus.TERMINATED
    return {
        "sourceServerId": server.source_server_id,
        "hostname": server.hostname,
        "launchStatus": server.launch_status,
        "phase": server.phase,
        "phaseNote": server.phase_note or None,
        "recoveryInstanceId": server.recovery_instance_id or None,
        "recoveryInstanceState": (server.recovery_instance_state or None) if stands else None,
        "instanceState": "TERMINATED" if gone else server.instance_state or None,
        "statusChecks": _checks(server) if server.recovery_instance_id and not gone else None,
        "launchActions": server.launch_actions or [],
        "launchTime": server.launched,
        "observedLate": server.observed_late,
        "usableTime": server.usable,
        "usableObservedLate": server.usable_late if server.usable else None,
        "error": server.error or None,
        "errorCode": code_of(server, job) or None,
        "optional": server.optional,
        "excluded": show_left_out(server.excluded),
        "recoverySnapshotId": server.recovery_snapshot_id or None,
        "snapshotTime": server.snapshot,
        "findings": server.findings,
        "notLaunched": (why or None) if is_open else None,
    }
