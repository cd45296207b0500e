"""Scenarios in which answers tell less, more or something else, and what others do to jobs, instances and accounts."""

from __future__ import annotations

from collections.abc import Mapping

from drs_simulator.world.scenario_kinds import JOBS, LAUNCHERS, MODEL, REPORTS, SERVERS, SOURCES, Acts, Kind

VIEWS: Mapping[str, Kind] = {
    "snapshots_deleted": Kind(
        Acts.VIEW,
        "the recovery snapshots `ids` of `servers` do not exist any more; without ids, all of theirs",
        "known: they end with their retention, and all of them with replication; unknown with which code StartRecovery"
        " refuses one that is gone: here as ResourceNotFoundException, which names it",
        {"servers": [], "ids": []},
        ("DescribeRecoverySnapshots", "StartRecovery"),
    ),
    "terminate_untold": Kind(
        Acts.VIEW,
        "an ended TERMINATE job's participants are PENDING, or (`emptied`) missing",
        REPORTS,
        {"emptied": True},
        field="A5",
    ),
    "clear_instance_ids": Kind(
        Acts.VIEW, "LAUNCH jobs of instances since gone show TERMINATED and no id", "unknown: reports contradict"
    ),
    "untold_launches": Kind(
        Acts.VIEW,
        "LAUNCH jobs that have ended show no participants, or (`how`: PENDING) rows that stay PENDING, without an id",
        REPORTS,
        {"how": "EMPTY"},
        JOBS,
        field="A4",
    ),
    "no_launch_settings": Kind(
        Acts.VIEW, "GetLaunchConfiguration of `servers` (all when empty) is a 404", MODEL, SERVERS
    ),
    "launch_disposition": Kind(
        Acts.VIEW,
        "the launch settings of `servers` say `disposition`; `dies_at_once` with STOPPED does it",
        MODEL,
        {"servers": [], "disposition": "STOPPED"},
        ("GetLaunchConfiguration",),
        field="A8",
    ),
    "no_is_drill": Kind(
        Acts.VIEW,
        "recovery instances of `servers` (all when empty) have no isDrill",
        "unknown: the model allows it",
        SERVERS,
        field="B1",
    ),
    "agent_silent": Kind(
        Acts.VIEW,
        "the agents of `servers` were last seen `seconds` ago, whatever their replication does",
        "known: lastSeenByServiceDateTime of the model; unknown how often DRS renews it",
        {"servers": [], "seconds": 7200.0},
        SOURCES,
        field="A22",
    ),
    "short_pages": Kind(
        Acts.VIEW,
        "pages of `size` items, every `empty_every`th empty",
        "known: only a missing nextToken ends a listing",
        {"size": 1, "empty_every": 2},
    ),
    "z_timestamps": Kind(Acts.VIEW, "timestamps end in Z", "known: the model; the live service sends an offset"),
    "clock_skew": Kind(
        Acts.VIEW,
        "every time that is told is `seconds` off; toggled, a step",
        "likely: clocks of hosts, ours or AWS's, are set",
        {"seconds": 1200.0},
        field="B5",
    ),
    "subnet_full": Kind(
        Acts.VIEW,
        "every subnet has `free` free addresses; without any, launches fail with EC2's words",
        "known: ec2:DescribeSubnets, InsufficientFreeAddressesInSubnet; likely that the job's log has EC2's words",
        {"servers": [], "free": 0.0},
        ("DescribeSubnets",),
    ),
    "vcpus_exhausted": Kind(
        Acts.VIEW,
        "`limit` vCPUs of On-Demand Standard instances may run, by Service Quotas; with none, launches fail",
        "known: L-1216C47A, VcpuLimitExceeded; unknown whether the quota and what counts against it agree at once",
        {"servers": [], "limit": 0.0},
        ("ListServiceQuotas",),
    ),
    "status_checks": Kind(
        Acts.VIEW,
        "EC2's status checks of instances of `servers` are `system` and `instance`",
        "known: ec2:DescribeInstanceStatus",
        {"servers": [], "system": "ok", "instance": "impaired"},
        ("DescribeInstanceStatus",),
        field="A8",
    ),
}
ITEMS: Mapping[str, Kind] = {
    "missing_members": Kind(
        Acts.ITEM,
        "items about `servers` have none of `members`, wherever they stand",
        "known: the model requires only jobID of a job, and nothing of a server or an instance",
        {"servers": [], "members": ["creationDateTime", "endDateTime"]},
        field="A11 A23",
    ),
    "tags_lost": Kind(
        Acts.ITEM,
        "jobs of `servers` show no tags",
        "likely: tag janitors and service control policies take them off",
        SERVERS,
        (*JOBS, *LAUNCHERS),
        field="A12",
    ),
    "strange_jobs": Kind(
        Acts.ITEM,
        "listings have others' jobs of every kind: without dates, with participants that have no id",
        "known: the model requires only jobID; the kinds are its InitiatedBy",
        {"initiated_by": ["DIAGNOSTIC", "CREATE_NETWORK_RECOVERY", "TARGET_ACCOUNT", "FAILBACK"]},
        JOBS,
        field="A11",
    ),
    "unknown_status": Kind(
        Acts.ITEM,
        "a job's status is `status`",
        "unknown: the model's list is open for additions",
        {"servers": [], "status": "CANCELLED"},
        ("StartRecovery",),
        field="A21",
    ),
    "job_type": Kind(
        Acts.ITEM,
        "a job of `servers` is of this `type`",
        "unknown: of extended servers DRS makes jobs of their own, and nothing says with which tags",
        {"servers": [], "type": "CREATE_CONVERTED_SNAPSHOT"},
        JOBS,
    ),
    "late_rows": Kind(
        Acts.ITEM,
        "a LAUNCH job shows no rows of `servers` until `seconds` (virtual) after it was made",
        "likely: listings of AWS are eventually consistent",
        {"servers": [], "seconds": 120.0},
        (*JOBS, "StartRecovery"),
        field="A4",
    ),
    "failed_rows": Kind(
        Acts.ITEM,
        "LAUNCH jobs that have ended show rows of `servers` as FAILED, without an id; their instances run",
        "unknown: whether DRS can call a launch failed whose instance stands, as one that it could not register or"
        " whose template it could not update",
        SERVERS,
        JOBS,
        field="A4",
    ),
    "double_rows": Kind(
        Acts.ITEM,
        "jobs show rows of `servers` twice, beside the true one another with `status` and no id, behind it or (`first`)"
        " before it",
        "unknown: nothing says that a server has one row",
        {"servers": [], "status": "FAILED", "first": False},
        JOBS,
    ),
    "row_status": Kind(
        Acts.ITEM,
        "rows of `servers` of LAUNCH jobs that have ended have this `status` and no id",
        "unknown: the model's list is open for additions",
        {"servers": [], "status": "SKIPPED"},
        JOBS,
    ),
    "unlisted_servers": Kind(
        Acts.ITEM,
        "DescribeSourceServers does not list `servers`",
        "likely: listings of AWS are eventually consistent",
        SERVERS,
        SOURCES,
    ),
    "unlisted_instances": Kind(
        Acts.ITEM,
        "recovery instances of `servers`, or of them only `instances`, are not listed until `seconds` (virtual) after"
        " they came up, negative: not at all",
        "likely: listings of AWS are eventually consistent; unknown for how long",
        {"servers": [], "instances": [], "seconds": 120.0},
        ("DescribeRecoveryInstances",),
    ),
    "instance_state": Kind(
        Acts.ITEM,
        "ec2InstanceState of recovery instances of `servers` is `state`; empty: absent",
        "unknown: the model requires no member, and its list is open for additions",
        {"servers": [], "state": ""},
        ("DescribeRecoveryInstances",),
    ),
    "missing_rows": Kind(Acts.ITEM, "jobs never show rows of `servers`", REPORTS, SERVERS, JOBS, field="A4"),
    "launch_actions": Kind(
        Acts.ITEM,
        "post-launch `action` of `servers`: IN_PROGRESS until `seconds` (virtual) after the end, then `status`",
        "known: launchActionsStatus of the model; that the job does not wait for them is likely",
        {
            "servers": [],
            "action": "Verify HTTP response",
            "category": "VALIDATION",
            "optional": True,
            "status": "FAILED",
            "reason": "The command timed out",
            "seconds": 60.0,
        },
        JOBS,
        field="A26",
    ),
    "staging_error": Kind(
        Acts.ITEM,
        "the staging area of `servers` has EXTENSION_ERROR",
        MODEL,
        {"servers": [], "message": "The staging account has revoked the permission to use its snapshots"},
        SOURCES,
        field="A22",
    ),
    "replication_error": Kind(
        Acts.ITEM,
        "replication of `servers` has `error`, whatever its state",
        "known: dataReplicationError of the model; that the state can stay CONTINUOUS is likely",
        {"servers": [], "error": "SNAPSHOTS_FAILURE", "raw_error": "Snapshot quota reached"},
        SOURCES,
        field="A22",
    ),
    "failback": Kind(
        Acts.ITEM, "replication of `servers` runs in the other direction", MODEL, SERVERS, SOURCES, field="A22"
    ),
    "failback_state": Kind(
        Acts.ITEM,
        "recovery instances of `servers` are replicated back: failback.state is `state`, replication is `replication`",
        "known: the model of DRS in botocore, ReverseReplication, and AWS CLI's example of one that is not replicated;"
        " unknown which states a drill's instance can have",
        {"servers": [], "state": "FAILBACK_IN_PROGRESS", "replication": "CONTINUOUS"},
        ("DescribeRecoveryInstances",),
        field="A7",
    ),
    "odd_lag": Kind(
        Acts.ITEM,
        "the lag of `servers` is `lag`; empty: absent",
        "known: ISO 8601, absent when disconnected; unknown whether months ever occur",
        {"servers": [], "lag": "P1Y2M"},
        SOURCES,
        field="A23",
    ),
    "odd_strings": Kind(
        Acts.ITEM,
        "`what` of `servers`: NUL in the OS, LONG state, NULL in lists, LONE surrogate, or ALL of them",
        "unknown: agents report what hosts say; the model bounds little",
        {"servers": [], "what": "ALL"},
        SOURCES,
        field="A24",
    ),
    "blank_name": Kind(
        Acts.ITEM, "the Name tag of `servers` is blanks", "known: EC2 takes such a tag", SERVERS, SOURCES, field="A25"
    ),
}
CHANGES: Mapping[str, Kind] = {
    "foreign_job": Kind(
        Acts.AT_ONCE,
        "somebody else's job takes `servers`; a drill, a recovery or a native plan's",
        "known: anybody with the right, and DRS's own recovery plans",
        {"servers": [], "initiated_by": "START_DRILL", "tags": {}},
        field="A2 B1",
    ),
    "jobs_deleted": Kind(
        Acts.AT_ONCE,
        "jobs of `servers` (all when empty) are shown no more; those that run, too, if `running`",
        "known: DeleteJob, retention; unknown whether one that runs can be deleted",
        {"servers": [], "running": False},
        field="A15",
    ),
    "ec2_terminated": Kind(
        Acts.AT_ONCE,
        "instances of `servers` are terminated in EC2; DRS goes on listing them, as TERMINATED",
        "likely; unknown for how long",
        SERVERS,
        field="A6 A8",
    ),
    "ec2_stopped": Kind(
        Acts.AT_ONCE, "instances of `servers` are stopped in EC2", "known: ec2InstanceState", SERVERS, field="A8"
    ),
    "disconnected": Kind(
        Acts.AT_ONCE,
        "recovery instances of `servers` are disconnected from DRS, which lists them on",
        "known: DisconnectRecoveryInstance",
        SERVERS,
        field="A7",
    ),
    "left_drs": Kind(
        Acts.AT_ONCE,
        "instances of `servers` are disconnected and deleted from DRS, and run on in EC2",
        "known: the end of a failover",
        SERVERS,
        field="A7",
    ),
    "other_account": Kind(
        Acts.AT_ONCE,
        "requests signed by `access_key` are `account`'s, where DRS was never set up unless `initialized`",
        "known: STS and DRS answer whoever signed",
        {"access_key": "", "account": "999988887777", "initialized": True},
        field="A17",
    ),
}
