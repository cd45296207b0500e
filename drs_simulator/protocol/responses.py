"""What the service shows: stored records and timelines as DRS's own shapes at one moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from drs_simulator.world import scenarios
from drs_simulator.world.clock import duration, timestamp
from drs_simulator.world.fleet import WITHOUT_SNAPSHOT, FleetServer
from drs_simulator.world.jobs import RAW_ERRORS, Job, Place
from drs_simulator.world.snapshots import RecoverySnapshot, lag_seconds
from drs_simulator.world.state_file import Store
from drs_simulator.world.timeline import OF_THE_JOB, Event, Fate, ServerPlan, Track, hex_id

if TYPE_CHECKING:
    from mypy_boto3_drs import literals
    from mypy_boto3_drs import type_defs as shapes


DAY = 86_400


@dataclass(frozen=True)
class Moment:
    """The virtual time of an answer and the style of its timestamps."""

    store: Store
    now: float
    z_style: bool = False
    hides_gone_ids: bool = False
    untold: bool | None = None  # whether an ended TERMINATE job has no participants, or only PENDING ones
    skew: float = 0.0  # seconds by which every time told is off
    forgets: str = ""  # EMPTY: ended LAUNCH jobs show no participants; PENDING: they show rows that stay PENDING

    def stamp(self, virtual: float) -> str:
        return self.stamp_wall(self.store.clock.wall_of(virtual))

    def stamp_wall(self, wall: float) -> str:
        return timestamp(wall + self.skew, self.z_style)

    def ago(self, seconds: float) -> str:
        return self.stamp_wall(self.store.clock.wall() - seconds)


def job_shape(moment: Moment, job: Job) -> shapes.JobTypeDef:
    life, spec = job.timeline, job.spec
    gone = _gone_instances(moment, job) if moment.hides_gone_ids else set()
    shape: shapes.JobTypeDef = {
        "jobID": spec.id,
        "arn": job.arn,
        "type": "TERMINATE" if spec.terminates else "LAUNCH",
        "initiatedBy": spec.initiated_by,
        "creationDateTime": moment.stamp_wall(job.created_wall),
        "status": life.status(moment.now),
        "participatingServers": [
            _participant(moment, spec.terminates, plan, track, plan.instance_id in gone)
            for plan, track in zip(spec.servers, life.tracks, strict=True)
        ],
        "participatingResources": [],
        "tags": dict(job.tags),
    }
    if moment.forgets and not spec.terminates and moment.now >= life.ended_at:
        shape["participatingServers"] = _forgotten(moment, spec.servers)
    if moment.now >= life.ended_at:
        shape["endDateTime"] = moment.stamp(life.ended_at)
        if spec.terminates and moment.untold is not None:
            # Met by an earlier product of this kind, which looked at participants of ended TERMINATE jobs.
            untold = [{"sourceServerID": plan.server_id, "launchStatus": "PENDING"} for plan in spec.servers]
            shape["participatingServers"] = [] if moment.untold else cast("list[Any]", untold)
    return shape


def _forgotten(moment: Moment, plans: Sequence[ServerPlan]) -> list[shapes.ParticipatingServerTypeDef]:
    """Known of the real service (field notes of other orchestrators): it forgets what it launched, at times."""
    if moment.forgets == "EMPTY":
        return []
    return [{"sourceServerID": plan.server_id, "launchStatus": "PENDING"} for plan in plans]


def _gone_instances(moment: Moment, job: Job) -> set[str]:
    sql = "SELECT id FROM instance WHERE job_id = ? AND gone_at <= ?"
    return {str(row["id"]) for row in moment.store.rows(sql, job.spec.id, moment.now)}


def _participant(
    moment: Moment, terminates: bool, plan: ServerPlan, track: Track, is_gone: bool
) -> shapes.ParticipatingServerTypeDef:
    status: literals.LaunchStatusType = "TERMINATED" if is_gone else track.status(moment.now)
    shape: shapes.ParticipatingServerTypeDef = {"sourceServerID": plan.server_id, "launchStatus": status}
    shown = track.id_shown_at is not None and moment.now >= track.id_shown_at
    if shown and not terminates and not is_gone:
        shape["recoveryInstanceID"] = plan.instance_id
    return shape


def job_log_shape(moment: Moment, job: Job, event: Event) -> shapes.JobLogTypeDef:
    data: shapes.JobLogEventDataTypeDef = {}
    if event.server >= 0:
        data = _event_data(job, event, job.spec.servers[event.server])
    elif event.name in OF_THE_JOB:
        failed = next((plan for plan in job.spec.servers if plan.fate is Fate.NETWORK_FAILED), None)
        data["rawError"] = (failed.raw_error if failed else "") or RAW_ERRORS[Fate.NETWORK_FAILED]
    return {"logDateTime": moment.stamp(event.at), "event": event.name, "eventData": data}


def _event_data(job: Job, event: Event, plan: ServerPlan) -> shapes.JobLogEventDataTypeDef:
    data: shapes.JobLogEventDataTypeDef = {"sourceServerID": plan.server_id}
    if event.name.startswith("CONVERSION_"):
        data["conversionServerID"] = hex_id("i-", "conversion", job.spec.id, plan.server_id, event.attempt or "")
    if cast("str", event.name) == "LAUNCH_END":  # not in the published enum
        data["targetInstanceID"] = plan.instance_id
    if event.attempt:
        data["attemptCount"], data["maxAttemptsCount"] = event.attempt, plan.conversions
    if event.name.endswith(("_FAIL", "_FAILED", "_SKIPPED")):
        of_event = RAW_ERRORS[Fate.TERMINATE_FAILED] if event.name == "CLEANUP_FAIL" else ""
        data["rawError"] = plan.raw_error or of_event or RAW_ERRORS.get(plan.fate, "Failed to take a snapshot in time")
    return data


@dataclass(frozen=True)
class LaunchHistory:
    """What has become of a server so far: its last LAUNCH job and the instance it has now."""

    job: Job | None = None
    instance_id: str = ""


def source_server_shape(moment: Moment, server: FleetServer, history: LaunchHistory) -> shapes.SourceServerTypeDef:
    place = Place(server.account, server.region)
    hints: shapes.IdentificationHintsTypeDef = {"vmWareUuid": vmware_uuid(server)}
    if server.hostname:
        hints["hostname"] = server.hostname
    if server.fqdn:
        hints["fqdn"] = server.fqdn
    shape: shapes.SourceServerTypeDef = {
        "sourceServerID": server.id,
        "arn": place.arn("source-server", server.id),
        "tags": dict(server.tags),
        "lastLaunchResult": _last_result(moment, server, history.job),
        "dataReplicationInfo": _replication(moment, server),
        "lifeCycle": _life_cycle(moment, server, history.job),
        "sourceProperties": {
            "lastUpdatedDateTime": moment.ago(3_600),
            "recommendedInstanceType": server.instance_type,
            "identificationHints": hints,
            "networkInterfaces": [{"ips": [server.ip], "isPrimary": True, "macAddress": mac_address(server)}],
            "disks": [{"deviceName": name, "bytes": size} for name, size in server.disks.items()],
            "cpus": [{"cores": server.cpus, "modelName": "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"}],
            "ramBytes": server.ram_bytes,
            "os": {"fullString": server.os},
            "supportsNitroInstances": True,
        },
        "stagingArea": _staging(server),
        "replicationDirection": "FAILOVER",
        "agentVersion": "4.12.26",
    }
    if history.instance_id:
        shape["recoveryInstanceId"] = history.instance_id
    return shape


def vmware_uuid(server: FleetServer) -> str:
    digits = server.id[2:].ljust(32, "0").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def mac_address(server: FleetServer) -> str:
    digits = server.id[-10:]
    return ":".join(["02", *(digits[index : index + 2] for index in range(0, 10, 2))]).lower()


def _staging(server: FleetServer) -> shapes.StagingAreaTypeDef:
    if not server.staging_account or server.staging_account == server.account:
        return {"status": "NOT_EXTENDED"}
    staging = Place(server.staging_account, server.region)
    return {
        "status": "EXTENDED",
        "stagingAccountID": server.staging_account,
        "stagingSourceServerArn": staging.arn("source-server", server.staging_server or server.id),
    }


def _replication(moment: Moment, server: FleetServer) -> shapes.DataReplicationInfoTypeDef:
    state = cast("literals.DataReplicationStateType", server.state)
    lag = lag_seconds(moment.store, server)
    shape: shapes.DataReplicationInfoTypeDef = {
        "dataReplicationState": state,
        "replicatedDisks": [_replicated_disk(server, name, size, lag) for name, size in server.disks.items()],
        "stagingAvailabilityZone": f"{server.region}a",
    }
    if state != "DISCONNECTED":
        shape["lagDuration"] = duration(lag)
    if state in ("INITIAL_SYNC", "RESCAN", "BACKLOG"):
        shape["etaDateTime"] = moment.ago(-(1800 + lag / 2))
    if server.error:
        error = cast("literals.DataReplicationErrorStringType", server.error)
        shape["dataReplicationError"] = {"error": error, "rawError": server.error}
    return shape


def _replicated_disk(
    server: FleetServer, name: str, size: int, lag: float
) -> shapes.DataReplicationInfoReplicatedDiskTypeDef:
    # A disconnected server reports no storage at all: consumers must not divide by the total.
    total = 0 if server.state == "DISCONNECTED" else size
    return {
        "deviceName": name,
        "totalStorageBytes": total,
        "replicatedStorageBytes": int(total * server.replicated_share),
        "rescannedStorageBytes": total // 2 if server.state == "RESCAN" else 0,
        "backloggedStorageBytes": min(int(lag) * 262_144, total),
    }


def _last_result(moment: Moment, server: FleetServer, job: Job | None) -> literals.LastLaunchResultType:
    if job is None:
        return "NOT_STARTED"
    results: Mapping[str, literals.LastLaunchResultType] = {
        "PENDING": "PENDING",
        "IN_PROGRESS": "PENDING",
        "FAILED": "FAILED",
    }
    return results.get(_status_in(moment, job, server.id), "SUCCEEDED")


def _status_in(moment: Moment, job: Job, server_id: str) -> literals.LaunchStatusType:
    index = next(number for number, plan in enumerate(job.spec.servers) if plan.server_id == server_id)
    return job.timeline.tracks[index].status(moment.now)


def _life_cycle(moment: Moment, server: FleetServer, job: Job | None) -> shapes.LifeCycleTypeDef:
    lag = lag_seconds(moment.store, server)
    said = scenarios.view(moment.store, server.region, "agent_silent", "DescribeSourceServers")
    silent = lag if server.state == "DISCONNECTED" else 30.0
    if said is not None and said.concerns_server(server):
        silent = said.number("seconds")
    shape: shapes.LifeCycleTypeDef = {
        "addedToServiceDateTime": moment.ago(200 * DAY),
        "firstByteDateTime": moment.ago(200 * DAY - 1_200),
        "elapsedReplicationDuration": duration(6 * 3_600),
        "lastSeenByServiceDateTime": moment.ago(silent),
    }
    if server.state in WITHOUT_SNAPSHOT:
        shape.pop("elapsedReplicationDuration")
    if job is not None:
        shape["lastLaunch"] = {
            "initiated": {
                "apiCallDateTime": moment.stamp_wall(job.created_wall),
                "jobID": job.spec.id,
                "type": "DRILL" if job.spec.initiated_by == "START_DRILL" else "RECOVERY",
            },
            "status": _status_in(moment, job, server.id),
        }
    return shape


BOOT_SECONDS = 20.0


def recovery_instance_shape(
    moment: Moment, row: sqlite3.Row, server: FleetServer | None
) -> shapes.RecoveryInstanceTypeDef:
    """`server` is None when the fleet has been replaced since; only its properties are missing then."""
    place = Place(row["account"], row["region"])
    shape: shapes.RecoveryInstanceTypeDef = {
        "recoveryInstanceID": row["id"],
        "ec2InstanceID": row["id"],
        "ec2InstanceState": _ec2_state(moment, row),
        "sourceServerID": row["server_id"],
        "jobID": row["job_id"],
        "isDrill": bool(row["is_drill"]),
        "arn": place.arn("recovery-instance", row["id"]),
        "tags": json.loads(row["tags"]),
        "pointInTimeSnapshotDateTime": _point_in_time(moment, row, server),
        "failback": {"state": "FAILBACK_NOT_READY_FOR_LAUNCH"},  # known: the example of the AWS CLI
        "dataReplicationInfo": {
            "dataReplicationState": "DISCONNECTED" if row["disconnected"] else "NOT_STARTED",
            "replicatedDisks": [],
        },
        "originEnvironment": "ON_PREMISES",
        "agentVersion": "4.12.26",
    }
    if server is not None:
        shape["recoveryInstanceProperties"] = _instance_properties(moment, row["id"], server)
    return shape


def _ec2_state(moment: Moment, row: sqlite3.Row) -> literals.EC2InstanceStateType:
    if row["ended_at"] is not None and moment.now >= row["ended_at"]:
        return row["end_state"] or "TERMINATED"
    if row["cleanup_at"] is not None and moment.now >= row["cleanup_at"]:
        return "SHUTTING-DOWN"
    return "RUNNING" if moment.now >= row["appears_at"] + BOOT_SECONDS else "PENDING"


def _point_in_time(moment: Moment, row: sqlite3.Row, server: FleetServer | None) -> str:
    """A new snapshot holds what had arrived when it was begun: the lag of replication before that."""
    if row["snapshot_wall"] is not None:
        return moment.stamp_wall(row["snapshot_wall"])
    begun = row["appears_at"] if row["snapshot_at"] is None else row["snapshot_at"]
    return moment.stamp_wall(moment.store.clock.wall_of(begun) - (server.lag_seconds if server else 0))


def _instance_properties(
    moment: Moment, instance_id: str, server: FleetServer
) -> shapes.RecoveryInstancePropertiesTypeDef:
    return {
        "lastUpdatedDateTime": moment.ago(0),
        "identificationHints": {
            "hostname": server.hostname,
            "fqdn": server.fqdn,
            "awsInstanceID": instance_id,
        },
        "networkInterfaces": [{"ips": [server.ip], "isPrimary": True, "macAddress": mac_address(server)}],
        "disks": [
            {"internalDeviceName": name, "bytes": size, "ebsVolumeID": _volume_id(instance_id, name)}
            for name, size in server.disks.items()
        ],
        "cpus": [{"cores": server.cpus, "modelName": "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"}],
        "ramBytes": server.ram_bytes,
        "os": {"fullString": server.os},
    }


def _volume_id(instance_id: str, device: str) -> str:
    """The short form: the long one breaks the model's own limit of 19 characters."""
    return hex_id("vol-", instance_id, device)[:12]


def recovery_snapshot_shape(moment: Moment, snapshot: RecoverySnapshot) -> shapes.RecoverySnapshotTypeDef:
    return {
        "snapshotID": snapshot.id,
        "sourceServerID": snapshot.server_id,
        "expectedTimestamp": moment.stamp_wall(snapshot.wall),
        "timestamp": moment.stamp_wall(snapshot.wall + 2.5),
        "ebsSnapshots": [hex_id("snap-", snapshot.id)],
    }


def launch_configuration_shape(server: FleetServer) -> dict[str, object]:
    return {
        "sourceServerID": server.id,
        "name": server.hostname[:128],
        "ec2LaunchTemplateID": hex_id("lt-", server.id),
        "launchDisposition": "STARTED",
        "targetInstanceTypeRightSizingMethod": "BASIC",
        "copyPrivateIp": False,
        "copyTags": True,
        "licensing": {"osByol": False},
        "postLaunchEnabled": False,
    }
