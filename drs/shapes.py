"""What DRS tells us, as frozen dataclasses: only the members that we use, times aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

JOB_COMPLETED = "COMPLETED"  # DRS knows no failed job: a job whose servers all failed is COMPLETED, too
TERMINATE = "TERMINATE"  # the type of a job that ends instances


def moment(text: str) -> datetime:
    """A DRS timestamp. The model promises `…Z`, the live service has sent `…+00:00`: both are read."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _moment_or_none(text: str | None) -> datetime | None:
    return moment(text) if text else None


@dataclass(frozen=True)
class Hardware:
    """Size of a source server; zero where DRS does not know."""

    cpu_cores: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0
    os: str = ""


@dataclass(frozen=True)
class SourceServer:
    """One replicating server. `lag_duration` is DRS's ISO-8601 text, absent when it is disconnected."""

    source_server_id: str
    hostname: str
    fqdn: str
    tags: Mapping[str, str]
    replication_state: str
    lag_duration: str | None
    last_launch_result: str
    recovery_instance_id: str
    hardware: Hardware = field(default_factory=Hardware)

    @property
    def name(self) -> str:
        """What a person calls it: Name tag, then hostname, fqdn, id."""
        return self.tags.get("Name") or self.hostname or self.fqdn or self.source_server_id

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "SourceServer":
        properties = item.get("sourceProperties") or {}
        hints = properties.get("identificationHints") or {}
        replication = item.get("dataReplicationInfo") or {}
        return cls(
            source_server_id=item["sourceServerID"],
            hostname=hints.get("hostname", ""),
            fqdn=hints.get("fqdn", ""),
            tags=dict(item.get("tags") or {}),
            replication_state=replication.get("dataReplicationState", "STOPPED"),
            lag_duration=replication.get("lagDuration"),
            last_launch_result=item.get("lastLaunchResult", "NOT_STARTED"),
            recovery_instance_id=item.get("recoveryInstanceId", ""),
            hardware=Hardware(
                cpu_cores=sum(cpu.get("cores", 0) for cpu in properties.get("cpus") or []),
                ram_bytes=properties.get("ramBytes", 0),
                disk_bytes=sum(disk.get("bytes", 0) for disk in properties.get("disks") or []),
                os=(properties.get("os") or {}).get("fullString", ""),
            ),
        )


@dataclass(frozen=True)
class Participant:
    """One server's part in a job; `recovery_instance_id` is empty until DRS tells it, at times for good."""

    source_server_id: str
    launch_status: str
    recovery_instance_id: str = ""


@dataclass(frozen=True)
class Job:
    """A DRS job. Its status says nothing of success: count the participants' launch statuses."""

    job_id: str
    type: str
    initiated_by: str
    status: str
    created_at: datetime
    ended_at: datetime | None
    participants: tuple[Participant, ...]
    tags: Mapping[str, str]

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "Job":
        return cls(
            job_id=item["jobID"],
            type=item.get("type", "LAUNCH"),
            initiated_by=item.get("initiatedBy", ""),
            status=item.get("status", "PENDING"),
            created_at=moment(item["creationDateTime"]),
            ended_at=_moment_or_none(item.get("endDateTime")),
            participants=tuple(
                Participant(
                    each["sourceServerID"],
                    each.get("launchStatus", "PENDING"),
                    each.get("recoveryInstanceID", ""),
                )
                for each in item.get("participatingServers") or []
            ),
            tags=dict(item.get("tags") or {}),
        )


@dataclass(frozen=True)
class JobLogItem:
    """One line of a job's log; `data` is DRS's eventData as sent."""

    at: datetime
    event: str
    data: Mapping[str, Any]

    @property
    def source_server_id(self) -> str:
        return str(self.data.get("sourceServerID", ""))

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "JobLogItem":
        return cls(moment(item["logDateTime"]), item["event"], dict(item.get("eventData") or {}))


@dataclass(frozen=True)
class RecoveryInstance:
    """A launched instance. `job_id` and `is_drill` tell whose it is; `point_in_time` is the snapshot it came from.
    `is_drill` is None where DRS does not say: that is not known to be a drill's."""

    recovery_instance_id: str
    source_server_id: str
    ec2_state: str
    job_id: str
    is_drill: bool | None
    point_in_time: datetime | None

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "RecoveryInstance":
        return cls(
            recovery_instance_id=item["recoveryInstanceID"],
            source_server_id=item.get("sourceServerID", ""),
            ec2_state=item.get("ec2InstanceState", ""),
            job_id=item.get("jobID", ""),
            is_drill=item.get("isDrill"),
            point_in_time=_moment_or_none(item.get("pointInTimeSnapshotDateTime")),
        )
