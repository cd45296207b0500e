"""What DRS tells us, as frozen dataclasses: only the members that we use, times aware and in UTC.

Of a job, DRS's model requires its id, of anything else nothing: what is missing, null or of another type than it should
be is read as unknown, and takes nothing else with it. What has no id cannot be read: ValueError.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

JOB_COMPLETED = "COMPLETED"  # DRS knows no failed job: a job whose servers all failed is COMPLETED, too
TERMINATE = "TERMINATE"  # the type of a job that ends instances
ASKED_TO_TERMINATE = "TERMINATE_RECOVERY_INSTANCES"  # by what such a job was initiated
NOT_A_LAUNCH = frozenset({TERMINATE, "CREATE_CONVERTED_SNAPSHOT"})  # types of jobs that launch nothing
# Failback states that an instance can have from its launch on: AWS's own example of one that nobody replicates back
# is not ready for its launch. Then the state of its replication tells, unless it is one of these.
_FROM_LAUNCH_ON = ("", "FAILBACK_NOT_STARTED", "FAILBACK_NOT_READY_FOR_LAUNCH", "FAILBACK_LAUNCH_STATE_NOT_AVAILABLE")
_NOT_REPLICATED = ("", "NOT_STARTED", "STOPPED", "DISCONNECTED", "REPLICATION_STATE_NOT_AVAILABLE")
INSTALLATION_TAG = "drsorch:installation"  # of a source server: which installation of ours may launch it
GONE = frozenset({"TERMINATED", "NOT_FOUND"})  # states of an instance that no launch can end any more


def moment(text: str) -> datetime:
    """A DRS timestamp. The model promises `…Z`, the live service has sent `…+00:00`: both are read."""
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError as error:  # in the first or the last year that there is, in another time zone
        raise ValueError(f"no time: {text!r}") from error


def _moment_or_none(text: object) -> datetime | None:
    try:
        return moment(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """The members of a list that are objects."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _tags(value: object) -> dict[str, str]:
    return {name: each for name, each in _mapping(value).items() if isinstance(each, str)}


def _id(item: Mapping[str, Any], *names: str) -> str:
    found = next((text for name in names if (text := _text(item.get(name)))), "")
    if not found:
        raise ValueError(f"no {names[0]}")
    return found


@dataclass(frozen=True)
class Hardware:
    """Size of a source server; zero where DRS does not know."""

    cpu_cores: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0
    os: str = ""
    instance_type: str = ""


@dataclass(frozen=True)
class ReplicationTrouble:
    """What DRS says is wrong with a server, in its words, or that it replicates the other way; empty where nothing is.

    A server may be CONTINUOUS all the same.
    """

    replication_error: str = ""
    staging_status: str = ""
    staging_account: str = ""
    staging_error: str = ""
    direction: str = ""


@dataclass(frozen=True)
class Copy:
    """How far the copy of a server is, in per cent where DRS says it, and when DRS expects it to be over, to the
    minute."""

    percent: int | None
    ends_at: datetime | None


@dataclass(frozen=True)
class SourceServer:
    """One replicating server. `lag_duration` is DRS's ISO-8601 text, absent when it is disconnected. `installation` is
    which installation of ours may launch it (docs/adr/0114-takeover.md); it stands in no list of tags."""

    source_server_id: str
    hostname: str
    fqdn: str
    tags: Mapping[str, str]
    replication_state: str
    lag_duration: str | None
    last_launch_result: str
    recovery_instance_id: str
    hardware: Hardware = field(default_factory=Hardware)
    trouble: ReplicationTrouble = field(default_factory=ReplicationTrouble)
    agent_seen_at: datetime | None = None  # when its agent last spoke to DRS
    copy: "Copy | None" = None  # of one that is being copied
    installation: str = ""
    extended_of: str = ""  # the id of its original in the staging account, which is the same machine

    @property
    def name(self) -> str:
        """What a person calls it: Name tag, then hostname, fqdn, id. Blanks are no name."""
        names = (self.tags.get("Name", ""), self.hostname, self.fqdn)
        return next((each.strip() for each in names if each.strip()), self.source_server_id)

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "SourceServer":
        properties = _mapping(item.get("sourceProperties"))
        hints = _mapping(properties.get("identificationHints"))
        replication = _mapping(item.get("dataReplicationInfo"))
        tags = dict(_tags(item.get("tags")))
        return cls(
            installation=tags.pop(INSTALLATION_TAG, ""),
            source_server_id=_id(item, "sourceServerID"),
            hostname=_text(hints.get("hostname")),
            fqdn=_text(hints.get("fqdn")),
            tags=tags,
            replication_state=_text(replication.get("dataReplicationState")) or "UNKNOWN",
            lag_duration=_text(replication.get("lagDuration")) or None,
            last_launch_result=_text(item.get("lastLaunchResult")) or "NOT_STARTED",
            recovery_instance_id=_text(item.get("recoveryInstanceId")),
            hardware=Hardware(
                cpu_cores=sum(_number(cpu.get("cores")) for cpu in _mappings(properties.get("cpus"))),
                ram_bytes=_number(properties.get("ramBytes")),
                disk_bytes=sum(_number(disk.get("bytes")) for disk in _mappings(properties.get("disks"))),
                os=_text(_mapping(properties.get("os")).get("fullString")),
                instance_type=_text(properties.get("recommendedInstanceType")),
            ),
            trouble=_trouble(item, replication),
            agent_seen_at=_moment_or_none(_mapping(item.get("lifeCycle")).get("lastSeenByServiceDateTime")),
            copy=_copy(replication),
            extended_of=_original(_mapping(item.get("stagingArea"))),
        )


_STAGED = re.compile(r"arn:[^/]{1,200}:source-server/(s-[0-9a-zA-Z]{17})")


def _original(area: Mapping[str, Any]) -> str:
    found = _STAGED.fullmatch(_text(area.get("stagingSourceServerArn"))[:2048])
    return found[1] if found else ""


COPYING = ("INITIATING", "INITIAL_SYNC", "RESCAN", "BACKLOG")  # states in which DRS tells how far a copy is


def _copy(replication: Mapping[str, Any]) -> "Copy | None":
    """DRS tells a disk's size, what it has copied of it, and in a rescan what it has compared of it."""
    state = replication.get("dataReplicationState")
    if state not in COPYING:
        return None
    disks = _mappings(replication.get("replicatedDisks"))
    done = "rescannedStorageBytes" if state == "RESCAN" else "replicatedStorageBytes"
    total, copied = (sum(_number(each.get(name)) for each in disks) for name in ("totalStorageBytes", done))
    ends = _moment_or_none(replication.get("etaDateTime"))
    percent = max(0, min(100, 100 * copied // total)) if total > 0 and state != "BACKLOG" else None
    return Copy(percent, ends.replace(second=0, microsecond=0) if ends else None)


def _trouble(item: Mapping[str, Any], replication: Mapping[str, Any]) -> ReplicationTrouble:
    told, area = _mapping(replication.get("dataReplicationError")), _mapping(item.get("stagingArea"))
    words = dict.fromkeys(each for each in (_text(told.get("error")), _text(told.get("rawError"))) if each)
    return ReplicationTrouble(
        replication_error=": ".join(words),
        staging_status=_text(area.get("status")),
        staging_account=_text(area.get("stagingAccountID")),
        staging_error=_text(area.get("errorMessage")),
        direction=_text(item.get("replicationDirection")),
    )


@dataclass(frozen=True)
class LaunchAction:
    """What DRS runs on an instance after its launch, and how that went."""

    name: str
    category: str
    optional: bool
    status: str
    failure_reason: str


@dataclass(frozen=True)
class Participant:
    """One server's part in a job; `recovery_instance_id` is empty until DRS tells it, at times for good."""

    source_server_id: str
    launch_status: str
    recovery_instance_id: str = ""
    launch_actions: tuple[LaunchAction, ...] = ()

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Participant":
        return cls(
            _id(item, "sourceServerID"),
            _text(item.get("launchStatus")) or "PENDING",
            _text(item.get("recoveryInstanceID")),
            tuple(map(_launch_action, _mappings(_mapping(item.get("launchActionsStatus")).get("runs")))),
        )


def _launch_action(run: Mapping[str, Any]) -> LaunchAction:
    action = _mapping(run.get("action"))
    return LaunchAction(
        name=_text(action.get("name")) or _text(action.get("actionId")),
        category=_text(action.get("category")),
        optional=action.get("optional") is True,
        status=_text(run.get("status")),
        failure_reason=_text(run.get("failureReason")),
    )


# Of several rows of a server, which is believed: one that was launched was, one that is open is no failure while the
# job lasts, and nothing is gone of which another row does not say so.
_BELIEVED = {"LAUNCHED": 0, "FAILED": 2, "TERMINATED": 3}
_BELIEVED_AT_END = {"LAUNCHED": 0, "FAILED": 1, "TERMINATED": 3}


def _one_a_server(rows: Iterable[Participant], *, ended: bool) -> tuple[Participant, ...]:
    """Each server once, in the order told. Which instance it is, each of its rows may tell."""
    ranks = _BELIEVED_AT_END if ended else _BELIEVED
    found: dict[str, Participant] = {}
    for row in rows:
        known = found.setdefault(row.source_server_id, row)
        first, other = sorted((known, row), key=lambda each: ranks.get(each.launch_status, 2 if ended else 1))
        instance = first.recovery_instance_id or other.recovery_instance_id
        found[row.source_server_id] = replace(first, recovery_instance_id=instance)
    return tuple(found.values())


@dataclass(frozen=True)
class Job:
    """A DRS job. Its status says nothing of success: count the participants' launch statuses.

    One whose time DRS does not tell is not `dated`: it was made at `created_at`, when it was read, or before.
    """

    job_id: str
    type: str
    initiated_by: str
    status: str
    created_at: datetime
    ended_at: datetime | None
    participants: tuple[Participant, ...]
    tags: Mapping[str, str]
    dated: bool = True
    told_at: datetime | None = None  # what AWS's clock showed when it listed the job, where it says so

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Job":
        created_at = _moment_or_none(item.get("creationDateTime"))
        participants = (each for each in _mappings(item.get("participatingServers")) if each.get("sourceServerID"))
        status = _text(item.get("status")) or "PENDING"
        return cls(
            job_id=_id(item, "jobID"),
            type=_text(item.get("type")) or "LAUNCH",
            initiated_by=_text(item.get("initiatedBy")),
            status=status,
            created_at=created_at or datetime.now(UTC),
            ended_at=_moment_or_none(item.get("endDateTime")),
            participants=_one_a_server(map(Participant.read, participants), ended=status == JOB_COMPLETED),
            tags=_tags(item.get("tags")),
            dated=created_at is not None,
        )


@dataclass(frozen=True)
class JobLogItem:
    """One line of a job's log; `data` is DRS's eventData as sent. One whose time DRS does not tell is not `dated`: its
    words are kept, and nothing is timed by it."""

    at: datetime
    event: str
    data: Mapping[str, Any]
    dated: bool = True

    @property
    def source_server_id(self) -> str:
        return _text(self.data.get("sourceServerID"))

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "JobLogItem":
        at = _moment_or_none(item.get("logDateTime"))
        data = dict(_mapping(item.get("eventData")))
        return cls(at or datetime.now(UTC), _id(item, "event"), data, dated=at is not None)


@dataclass(frozen=True)
class RecoveryInstance:
    """A launched instance. `job_id` and `is_drill` tell whose it is; `point_in_time` is the snapshot it came from.
    `is_drill` is None where DRS does not say: that is not known to be a drill's. `failback_state` is empty unless
    somebody has begun to replicate it back, which DRS calls protecting it."""

    recovery_instance_id: str
    source_server_id: str
    ec2_state: str
    job_id: str
    is_drill: bool | None
    point_in_time: datetime | None
    failback_state: str = ""

    @property
    def is_protected(self) -> bool:
        return bool(self.failback_state)

    @property
    def may_be_production(self) -> bool:
        """Whether it is there, and DRS does not call it a drill's, or somebody replicates it back."""
        return (self.is_drill is not True or self.is_protected) and self.ec2_state not in GONE

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "RecoveryInstance":
        return cls(
            recovery_instance_id=_id(item, "recoveryInstanceID", "ec2InstanceID"),
            source_server_id=_text(item.get("sourceServerID")),
            ec2_state=_text(item.get("ec2InstanceState")).upper(),  # EC2's own answers have it in lower case
            job_id=_text(item.get("jobID")),
            is_drill=item.get("isDrill") if isinstance(item.get("isDrill"), bool) else None,
            point_in_time=_moment_or_none(item.get("pointInTimeSnapshotDateTime")),
            failback_state=_failback_state(item),
        )


def _failback_state(item: Mapping[str, Any]) -> str:
    """How far an instance is replicated back, in DRS's word; empty of one that is not."""
    state = _text(_mapping(item.get("failback")).get("state"))
    replication = _text(_mapping(item.get("dataReplicationInfo")).get("dataReplicationState"))
    return "" if state in _FROM_LAUNCH_ON and replication in _NOT_REPLICATED else state or replication


@dataclass(frozen=True)
class Snapshot:
    """A point in time of a server, from which it can be launched. In whole seconds, in which it is shown and asked for:
    whoever asks for the time that was shown gets this one."""

    snapshot_id: str
    at: datetime

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Snapshot":
        at = moment(item.get("timestamp") or item["expectedTimestamp"])
        return cls(_id(item, "snapshotID"), at.replace(microsecond=0))

    @classmethod
    def is_taken(cls, item: Mapping[str, Any]) -> bool:
        """Of one that is expected, or under way, DRS tells neither when it was taken nor the snapshots of its disks."""
        return bool(item.get("timestamp") or item.get("ebsSnapshots"))


@dataclass(frozen=True)
class LaunchSettings:
    """How DRS launches one server, as far as it decides whether that works."""

    template_id: str = ""
    starts: bool = True  # whether the instance is started, or left stopped
    has_actions: bool = False  # post-launch actions are on
    existing_instance: str = ""  # the customer's, to launch into
    right_sizing: str = ""  # NONE, BASIC or IN_AWS; with the last two DRS chooses the instance type
    copies_private_ip: bool = False
    copies_tags: bool = False

    @property
    def disposition(self) -> str:
        return "STARTED" if self.starts else "STOPPED"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "LaunchSettings":
        into = _mapping(given.get("launchIntoInstanceProperties"))
        return cls(
            template_id=_text(given.get("ec2LaunchTemplateID")),
            starts=given.get("launchDisposition") != "STOPPED",
            has_actions=given.get("postLaunchEnabled") is True,
            existing_instance=_text(into.get("launchIntoEC2InstanceID")),
            right_sizing=_text(given.get("targetInstanceTypeRightSizingMethod")),
            copies_private_ip=given.get("copyPrivateIp") is True,
            copies_tags=given.get("copyTags") is True,
        )
