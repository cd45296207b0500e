"""Making jobs: quota and conflict checks, the fate of each server, and everything a new job will do to instances."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from drs_simulator.world import scenarios
from drs_simulator.world.clock import epoch, timestamp
from drs_simulator.world.errors import conflict, invalid, not_found, quota_exceeded
from drs_simulator.world.fleet import CUT_OFF, WITHOUT_SNAPSHOT, FleetServer
from drs_simulator.world.scenario_kinds import Acts
from drs_simulator.world.scenarios import Scenario
from drs_simulator.world.snapshots import snapshots
from drs_simulator.world.state_file import Store
from drs_simulator.world.timeline import Fate, JobSpec, ServerPlan, Snapshot, Timeline, hex_id, timeline

if TYPE_CHECKING:
    from mypy_boto3_drs.literals import InitiatedByType

JOBS_QUOTA, SERVERS_PER_JOB_QUOTA, SERVERS_IN_JOBS_QUOTA = "L-D88FAC3A", "L-B827C881", "L-05AFA8C6"

RUNNING = "SELECT COUNT(*) FROM job WHERE account = ? AND region = ? AND ends_at > ?"
OCCUPIED = (
    "SELECT server_id FROM job_server WHERE seq IN"
    " (SELECT seq FROM job WHERE account = ? AND region = ? AND ends_at > ?)"
)

CONVERSION = "Failed to convert: the conversion server did not report back"
RAW_ERRORS: Mapping[Fate, str] = {
    Fate.LAUNCH_FAILED: "An error occurred (InsufficientInstanceCapacity) when calling the RunInstances operation: "
    "We currently do not have sufficient capacity in the Availability Zone you requested.",
    Fate.CONVERSION_FAILED: CONVERSION,
    Fate.SNAPSHOT_FAILED: "No recovery snapshot exists for this source server",
    Fate.SKIPPED: "Source server was skipped",
    Fate.TEMPLATE_GONE: "An error occurred (InvalidLaunchTemplateId.NotFound) when calling the "
    "CreateLaunchTemplateVersion operation: The specified launch template does not exist.",
    Fate.NETWORK_FAILED: "Failed to recover the source network: the CloudFormation stack ended as ROLLBACK_COMPLETE",
    Fate.TERMINATE_FAILED: "An error occurred (OperationNotPermitted) when calling the TerminateInstances operation: "
    "The instance may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
}


@dataclass(frozen=True)
class Place:
    """An account and a region: the scope of everything in DRS."""

    account: str
    region: str

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:drs:{self.region}:{self.account}:{kind}/{name}"


@dataclass(frozen=True)
class Target:
    """One server that a new job shall work on."""

    server: FleetServer
    instance_id: str = ""
    snapshot_id: str = ""


@dataclass(frozen=True)
class Job:
    """A stored job. `seq` orders jobs by creation."""

    seq: int
    place: Place
    created_wall: float
    visible_at: float
    tags: Mapping[str, str]
    timeline: Timeline

    @property
    def spec(self) -> JobSpec:
        return self.timeline.spec

    @property
    def arn(self) -> str:
        return self.place.arn("job", self.spec.id)


def job_from_row(row: sqlite3.Row) -> Job:
    place = Place(row["account"], row["region"])
    tags: dict[str, str] = json.loads(row["tags"])
    return Job(row["seq"], place, row["created_wall"], row["visible_at"], tags, _timeline_of(row["spec"]))


@lru_cache(maxsize=4096)
def _timeline_of(spec_text: str) -> Timeline:
    raw = json.loads(spec_text)
    raw["servers"] = tuple(
        ServerPlan(**{**plan, "fate": Fate(plan["fate"]), "snapshot": Snapshot(plan["snapshot"])})
        for plan in raw["servers"]
    )
    return timeline(JobSpec(**raw))


def job(store: Store, place: Place, job_id: str) -> Job | None:
    sql = "SELECT * FROM job WHERE id = ? AND account = ? AND region = ?"
    row = store.one(sql, job_id, place.account, place.region)
    return job_from_row(row) if row else None


def create_job(
    store: Store,
    place: Place,
    targets: Sequence[Target],
    initiated_by: InitiatedByType,
    tags: Mapping[str, str],
    created: float,
) -> Job:
    """Start a job at virtual time `created`, all or nothing; call inside a transaction.

    Raises ConflictException when a server is in another job, ServiceQuotaExceededException past the quotas.
    """
    terminates = initiated_by == "TERMINATE_RECOVERY_INSTANCES"
    _check_admission(store, place, [target.server.id for target in targets], created)
    job_id = f"drsjob-3{secrets.token_hex(8)}"
    shaping = scenarios.in_force(store, place.region)
    plan = _terminate_plan if terminates else _launch_plan
    plans = tuple(_shaped(store, shaping, target, plan(store, job_id, target, created)) for target in targets)
    marks = {each.name: each for each in shaping if each.kind.acts is Acts.CREATION and scenarios.strikes(store, each)}
    spec = JobSpec(job_id, initiated_by, created, plans, "launch_end_event" in marks, "steady_times" in marks)
    delay = marks["visibility_delay"].number("seconds") * store.clock.speed if "visibility_delay" in marks else 0.0
    made = _insert(store, place, spec, tags, created + delay)
    for target, index in zip(targets, range(len(plans)), strict=True):
        _plan_instances(store, made, target, index)
    return made


def _check_admission(store: Store, place: Place, server_ids: Sequence[str], now: float) -> None:
    if len(set(server_ids)) < len(server_ids):
        raise invalid([("sourceServers", "the same source server is listed twice")])
    limits = store.settings
    if len(server_ids) > limits.max_servers_per_job:
        raise quota_exceeded(SERVERS_PER_JOB_QUOTA, f"A job takes at most {limits.max_servers_per_job} source servers")
    scope = (place.account, place.region, now)
    occupied = [str(row["server_id"]) for row in store.rows(OCCUPIED, *scope)]
    if busy := sorted(set(occupied) & set(server_ids)):
        raise conflict(busy)
    if store.number(RUNNING, *scope) >= limits.max_jobs:
        raise quota_exceeded(JOBS_QUOTA, f"Concurrent jobs in progress: at most {limits.max_jobs}")
    if len(occupied) + len(server_ids) > limits.max_servers_in_jobs:
        text = f"Source servers in all jobs: at most {limits.max_servers_in_jobs}"
        raise quota_exceeded(SERVERS_IN_JOBS_QUOTA, text)


def _launch_plan(store: Store, job_id: str, target: Target, now: float) -> ServerPlan:
    """How a launch goes when no scenario interferes: it depends on the state of replication."""
    server = target.server
    present = live_instance(store, server.id, now)
    plan = ServerPlan(
        server.id, hex_id("i-", job_id, server.id), Fate.LAUNCHED, replaces=present["id"] if present else ""
    )
    if target.snapshot_id:
        return replace(plan, snapshot=Snapshot.CHOSEN)
    if server.state in WITHOUT_SNAPSHOT or server.disconnected:
        return replace(plan, fate=Fate.SNAPSHOT_FAILED, raw_error=RAW_ERRORS[Fate.SNAPSHOT_FAILED])
    return replace(plan, snapshot=Snapshot.PREVIOUS) if server.state in CUT_OFF else plan


def _terminate_plan(store: Store, job_id: str, target: Target, now: float) -> ServerPlan:
    return ServerPlan(target.server.id, target.instance_id, Fate.TERMINATED)


def live_instance(store: Store, server_id: str, now: float) -> sqlite3.Row | None:
    """The recovery instance that a server has at a virtual moment."""
    sql = "SELECT * FROM instance WHERE server_id = ? AND appears_at <= ? AND (gone_at IS NULL OR gone_at > ?)"
    return store.one(sql, server_id, now, now)


def _with_fate(fate: Fate) -> Callable[[ServerPlan, Scenario], ServerPlan]:
    return lambda plan, scenario: replace(plan, fate=fate, raw_error=scenario.text("raw_error") or RAW_ERRORS[fate])


def _with_retries(plan: ServerPlan, scenario: Scenario) -> ServerPlan:
    fails, of = int(scenario.number("fails")), int(scenario.number("of"))
    fate = Fate.CONVERSION_FAILED if fails >= of else plan.fate
    return replace(
        plan, fate=fate, conversions_failed=fails, conversions=of, raw_error=scenario.text("raw_error") or CONVERSION
    )


def _with_protected_instance(plan: ServerPlan, scenario: Scenario) -> ServerPlan:
    """A launch that would end a protected instance fails, or goes on beside it: which of the two is unknown."""
    if not plan.replaces:
        return plan
    fate = plan.fate if scenario.options["goes_on"] else Fate.CLEANUP_FAILED
    return replace(plan, fate=fate, keeps_replaced=True)


def _without(option: str, words: str) -> Callable[[ServerPlan, Scenario], ServerPlan]:
    """A launch that fails with EC2's words where there is none of something left."""

    def effect(plan: ServerPlan, scenario: Scenario) -> ServerPlan:
        return plan if scenario.number(option) else replace(plan, fate=Fate.LAUNCH_FAILED, raw_error=words)

    return effect


NO_ADDRESS = (
    "An error occurred (InsufficientFreeAddressesInSubnet) when calling the RunInstances operation: There are not"
    " enough free addresses in subnet 'subnet-0123456789abcdef0' to satisfy the requested number of instances."
)
NO_VCPUS = (
    "An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: You have requested more vCPU"
    " capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type"
    " belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
)
LAUNCH_SCENARIOS: Mapping[str, Callable[[ServerPlan, Scenario], ServerPlan]] = {
    "launch_failed": _with_fate(Fate.LAUNCH_FAILED),
    "conversion_fail": _with_fate(Fate.CONVERSION_FAILED),
    "snapshot_fail_no_previous": _with_fate(Fate.SNAPSHOT_FAILED),
    "server_skipped": _with_fate(Fate.SKIPPED),
    "snapshot_fail_uses_previous": lambda plan, scenario: replace(
        plan, snapshot=Snapshot.PREVIOUS, raw_error=scenario.text("raw_error")
    ),
    "never_settles": lambda plan, scenario: replace(plan, fate=Fate.NEVER_SETTLES),
    "slow_server": lambda plan, scenario: replace(plan, slow=scenario.number("factor")),
    "late_instance_id": lambda plan, scenario: replace(plan, id_delay=scenario.number("seconds")),
    "template_gone": _with_fate(Fate.TEMPLATE_GONE),
    "network_recovery_fails": _with_fate(Fate.NETWORK_FAILED),
    "conversion_retried": _with_retries,
    "termination_protection": _with_protected_instance,
    "subnet_full": _without("free", NO_ADDRESS),
    "vcpus_exhausted": _without("limit", NO_VCPUS),
    "dies_at_once": lambda plan, scenario: replace(
        plan, end_state=scenario.text("state"), end_delay=scenario.number("seconds")
    ),
}
TERMINATE_SCENARIOS: Mapping[str, Callable[[ServerPlan, Scenario], ServerPlan]] = {
    "terminate_fails": _with_fate(Fate.TERMINATE_FAILED),
    "termination_protection": lambda plan, scenario: replace(plan, fate=Fate.TERMINATE_FAILED),
    "slow_server": LAUNCH_SCENARIOS["slow_server"],
}


def _shaped(store: Store, shaping: Sequence[Scenario], target: Target, plan: ServerPlan) -> ServerPlan:
    effects = TERMINATE_SCENARIOS if plan.fate is Fate.TERMINATED else LAUNCH_SCENARIOS
    for scenario in shaping:
        if scenario.name in effects and scenario.concerns_server(target.server) and scenarios.strikes(store, scenario):
            plan = effects[scenario.name](plan, scenario)
    return plan


def _insert(store: Store, place: Place, spec: JobSpec, tags: Mapping[str, str], visible_at: float) -> Job:
    spec_text = json.dumps(asdict(spec))
    life = _timeline_of(spec_text)
    # Cut to the microseconds that clients see, so that their date filters compare equal.
    created_wall = epoch(timestamp(store.clock.wall_of(spec.created)))
    seq = store.run(
        "INSERT INTO job (id, account, region, type, created, created_wall, visible_at, ends_at, spec, tags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        spec.id,
        place.account,
        place.region,
        "TERMINATE" if spec.terminates else "LAUNCH",
        spec.created,
        created_wall,
        visible_at,
        life.ended_at,
        spec_text,
        json.dumps(dict(tags)),
    )
    store.run_many("INSERT INTO job_server (server_id, seq) VALUES (?, ?)", ((p.server_id, seq) for p in spec.servers))
    return Job(seq, place, created_wall, visible_at, tags, life)


def _plan_instances(store: Store, made: Job, target: Target, index: int) -> None:
    """Write down now when instances will come and go: the future of a job is fixed when it is made."""
    plan, track = made.spec.servers[index], made.timeline.tracks[index]
    going, gone = track.time_of("CLEANUP_START"), track.time_of("CLEANUP_END")
    if gone is not None:
        old = plan.instance_id if made.spec.terminates else plan.replaces
        store.run("UPDATE instance SET cleanup_at = ?, gone_at = ? WHERE id = ?", going, gone, old)
    if track.launched_at is None:
        return
    store.run(
        "INSERT INTO instance (id, account, region, server_id, job_id, is_drill, snapshot_at, snapshot_wall,"
        " appears_at, ended_at, end_state, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        plan.instance_id,
        made.place.account,
        made.place.region,
        plan.server_id,
        made.spec.id,
        int(made.spec.initiated_by == "START_DRILL"),
        track.time_of("SNAPSHOT_START"),
        _older_snapshot(store, target, plan),
        track.launched_at,
        track.launched_at + plan.end_delay if plan.end_state else None,
        plan.end_state,
        json.dumps(dict(target.server.tags)),
    )


def _older_snapshot(store: Store, target: Target, plan: ServerPlan) -> float | None:
    """The wall time of the existing snapshot that a launch uses; None when it takes a new one."""
    if plan.snapshot is Snapshot.TAKEN:
        return None
    known = snapshots(store, target.server)
    return next((each.wall for each in known if target.snapshot_id in ("", each.id)), None)


def check_snapshot(store: Store, server: FleetServer, snapshot_id: str) -> None:
    """Raises ResourceNotFoundException for a snapshot that this server does not have."""
    if snapshot_id and all(each.id != snapshot_id for each in snapshots(store, server)):
        raise not_found("RecoverySnapshot", snapshot_id)
