"""The built-in demo fleet: forty servers of six applications in two regions, a few of them unwell."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from drs_simulator.world.fleet import DEFAULT_ACCOUNT, GIB, Fleet, FleetServer, server_id

SECOND_ACCOUNT = "444455556666"
SECOND_ROLE = f"arn:aws:iam::{SECOND_ACCOUNT}:role/drsorch-target"
SECOND_EXTERNAL_ID = "drsorch-demo"
EAST, WEST = "us-east-1", "us-west-2"
UBUNTU, RHEL = "Ubuntu 22.04.4 LTS", "Red Hat Enterprise Linux 8.9 (Ootpa)"
WINDOWS = "Microsoft Windows Server 2019 Datacenter"


class Size(NamedTuple):
    cpus: int
    ram_gib: int
    disks_gib: tuple[int, ...]
    instance_type: str


SMALL = Size(2, 4, (30,), "t3.medium")
MEDIUM = Size(4, 16, (50, 100), "m5.xlarge")
LARGE = Size(16, 128, (100, 500, 1000), "r5.4xlarge")


class Row(NamedTuple):
    """One line of the fleet table: servers that differ only in their number."""

    region: str
    application: str
    tier: str
    hostnames: str
    os: str
    size: Size


TABLE = (
    Row(EAST, "payments", "database", "db-primary-01 db-replica-01", RHEL, LARGE),
    Row(EAST, "payments", "application", "app-01 app-02 app-03", UBUNTU, MEDIUM),
    Row(EAST, "payments", "web", "web-01 web-02", UBUNTU, SMALL),
    Row(EAST, "crm", "database", "crm-sql-01 crm-sql-02", WINDOWS, LARGE),
    Row(EAST, "crm", "application", "crm-app-01 crm-app-02", WINDOWS, MEDIUM),
    Row(EAST, "crm", "web", "crm-web-01", WINDOWS, SMALL),
    Row(EAST, "identity", "directory", "dc-01 dc-02", WINDOWS, MEDIUM),
    Row(EAST, "identity", "sso", "sso-01 sso-02", UBUNTU, SMALL),
    Row(EAST, "files", "storage", "files-01 files-02", WINDOWS, LARGE),
    Row(EAST, "monitoring", "operations", "grafana-01 prometheus-01 syslog-01 bastion-01", UBUNTU, SMALL),
    Row(WEST, "erp", "database", "erp-db-01 erp-db-02", RHEL, LARGE),
    Row(WEST, "erp", "application", "erp-app-01 erp-app-02 erp-app-03", RHEL, MEDIUM),
    Row(WEST, "erp", "web", "erp-web-01 erp-web-02", UBUNTU, SMALL),
    Row(WEST, "warehouse", "database", "dwh-01 dwh-02", RHEL, LARGE),
    Row(WEST, "warehouse", "application", "etl-01 etl-02 etl-03", UBUNTU, MEDIUM),
    Row(WEST, "warehouse", "web", "reports-01 reports-02", UBUNTU, SMALL),
    Row(WEST, "build", "operations", "ci-01 ci-02 artifacts-01", UBUNTU, MEDIUM),
    Row(WEST, "identity", "directory", "dc-03", WINDOWS, MEDIUM),
)


class ReplicationProblem(NamedTuple):
    state: str
    lag_seconds: int
    replicated_share: float = 1.0
    error: str = ""


PROBLEMS = {
    "crm-sql-02": ReplicationProblem("BACKLOG", 25 * 60),
    "files-02": ReplicationProblem("BACKLOG", 2 * 3600 + 14 * 60 + 32),
    "dwh-01": ReplicationProblem("BACKLOG", 7 * 60 + 30),
    "erp-db-02": ReplicationProblem("CREATING_SNAPSHOT", 0),
    "dwh-02": ReplicationProblem("RESCAN", 3 * 3600),
    "syslog-01": ReplicationProblem("STALLED", 27 * 3600 + 22 * 60 + 5, error="UNSTABLE_NETWORK"),
    "bastion-01": ReplicationProblem("DISCONNECTED", 152 * 86_400, error="AGENT_NOT_SEEN"),
    "artifacts-01": ReplicationProblem("INITIAL_SYNC", 0, replicated_share=0.43),
}


def _server(row: Row, hostname: str, number: int) -> FleetServer:
    problem = PROBLEMS.get(hostname, ReplicationProblem("CONTINUOUS", 0))
    letters = ("/dev/sda1", "/dev/sdb", "/dev/sdc") if row.os != WINDOWS else ("c:0", "d:0", "e:0")
    return FleetServer(
        id=server_id(hostname),
        region=row.region,
        hostname=hostname,
        fqdn=f"{hostname}.corp.example.com",
        tags={
            "Name": hostname,
            "Application": row.application,
            "Tier": row.tier,
            "Environment": "production",
        },
        state=problem.state,
        lag_seconds=problem.lag_seconds,
        replicated_share=problem.replicated_share,
        error=problem.error,
        disks={name: size * GIB for name, size in zip(letters, row.size.disks_gib, strict=False)},
        cpus=row.size.cpus,
        ram_bytes=row.size.ram_gib * GIB,
        os=row.os,
        ip=f"10.{10 if row.region == EAST else 20}.1.{number}",
        instance_type=row.size.instance_type,
    )


def demo_fleet(accounts: int = 1) -> Fleet:
    """The demo fleet; ids follow from hostnames through `server_id`. With two accounts the second, which is entered by
    a role, has servers of the same names as the first has in us-east-1."""
    pairs = [(row, hostname) for row in TABLE for hostname in row.hostnames.split()]
    servers = tuple(_server(row, hostname, 10 + number) for number, (row, hostname) in enumerate(pairs))
    if accounts == 1:
        return Fleet(servers, (EAST, WEST))
    again = (each for each in servers if each.region == EAST)
    others = (
        replace(each, account=SECOND_ACCOUNT, id=server_id(f"{SECOND_ACCOUNT}/{each.hostname}")) for each in again
    )
    return Fleet(
        (*servers, *others), (EAST, WEST), DEFAULT_ACCOUNT, {}, {SECOND_ROLE: {"externalId": SECOND_EXTERNAL_ID}}
    )


def demo_server_ids() -> dict[str, str]:
    """Source server ids of the demo fleet by hostname."""
    return {server.hostname: server.id for server in demo_fleet().servers}
