"""Fills a database with as much as the specification asks for, quickly: groups, plans, source servers, history.

DATABASE_URL=… DJANGO_SECRET_KEY=… python -m bench.seed --groups 1000 --plans 500 --executions 10000

The newest runs (--recent) have what they leave behind, too: sealed entries of the journal and lines of DRS's job logs.
Of all but the last hundred runs the instances were terminated.
"""

import os
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import django
from django.utils import timezone

from bench.measures import options_of

if TYPE_CHECKING:
    from executions.models import Execution

WAVES = 2
RECENT = 5_000
STILL_STANDING = 100  # runs
LOG = ("JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "CONVERSION_START", "CONVERSION_END", "LAUNCH_START", "JOB_END")


def main() -> None:
    parser = options_of(__doc__)
    for name, default in (
        ("groups", 1000), ("servers", 4), ("plans", 500), ("executions", 10_000), ("recent", RECENT),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    seed(options.groups, options.servers, options.plans, options.executions, options.recent)
    print(
        f"{options.groups} groups of {options.servers} servers, {options.plans} plans, {options.executions} executions"
    )


def seed(groups: int, servers: int, plans: int, executions: int, recent: int = 0) -> None:
    """Groups with their servers in the inventory, plans of two waves, and finished runs over the last years."""
    made_groups = groups_of(groups, servers)
    made_plans = plans_of(plans, made_groups, servers)
    history(executions, made_plans)
    if recent:
        leave_behind(recent)


def server_id(group: int, position: int) -> str:
    return f"s-3{group:010x}{position:06x}"


def groups_of(count: int, servers: int) -> list[uuid.UUID]:
    from contract.names import name_key
    from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer

    now = timezone.now()
    region = "us-east-1"
    names = [f"Group {number:05d}" for number in range(count)]
    groups = ProtectionGroup.objects.bulk_create(
        [
            ProtectionGroup(name=name, name_key=name_key(name), region=region, account_id="111122223333", owner="bench")
            for name in names
        ],
        batch_size=500,
    )
    ids = [(group, server_id(number, at), at) for number, group in enumerate(groups) for at in range(servers)]
    ServerAssignment.objects.bulk_create(
        [ServerAssignment(group=group, source_server_id=each, position=at) for group, each, at in ids], batch_size=500
    )
    SourceServer.objects.bulk_create(
        [
            SourceServer(
                source_server_id=each,
                account_id="111122223333",
                region=region,
                name=f"host-{each[-12:]}",
                hostname=f"host-{each[-12:]}",
                replication_state="CONTINUOUS",
                lag_duration="P0D",
                lag_seconds=0,
                seen_at=now,
            )
            for _, each, _ in ids
        ],
        batch_size=500,
    )
    RegionInventory.objects.update_or_create(region=region, defaults={"as_of": now, "tried_at": now})
    return [group.pk for group in groups]


def plans_of(count: int, groups: list[uuid.UUID], servers: int) -> list[uuid.UUID]:
    from contract.names import name_key
    from plans.models import RecoveryPlan, Wave, WaveGroup, WaveServer

    plans = RecoveryPlan.objects.bulk_create(
        [
            RecoveryPlan(name=f"Plan {number:05d}", name_key=name_key(f"Plan {number:05d}"), owner="bench")
            for number in range(count)
        ],
        batch_size=500,
    )
    waves = Wave.objects.bulk_create(
        [Wave(plan=plan, number=number, name=f"Tier {number + 1}") for plan in plans for number in range(2)],
        batch_size=500,
    )
    links, members = [], []
    for at, wave in enumerate(waves):
        group = at % len(groups)
        links.append(WaveGroup(wave=wave, group_id=groups[group], position=0))
        members += [
            WaveServer(plan_id=wave.plan_id, wave=wave, assignment_id=server_id(group, position), position=position)
            for position in range(servers)
        ]
    WaveGroup.objects.bulk_create(links, batch_size=500)
    WaveServer.objects.bulk_create(members, batch_size=500)
    return [plan.pk for plan in plans]


def history(count: int, plans: list[uuid.UUID]) -> None:
    """Finished runs of these plans, one every ten minutes until now; there must be none of these yet."""
    from django.db import connection

    from executions.models import Execution

    begin = timezone.now() - timedelta(minutes=10 * count)
    for at in range(0, count, 5000):
        runs = Execution.objects.bulk_create(_runs(range(at, min(at + 5000, count)), plans, begin), batch_size=500)
        _waves(at, runs, count - STILL_STANDING)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _waves(first: int, runs: "list[Execution]", cleaned_up: int) -> None:
    """Two waves of two servers a run, launched where the run says so, and terminated in so many, the oldest."""
    from executions.models import LaunchJob, ServerRun, WaveRun
    from executions.states import ExecutionStatus, JobStatus, LaunchStatus, Phase, WaveStatus

    waves, jobs, servers = [], [], []
    for at, run in enumerate(runs, first):
        for number in range(WAVES):
            failed = run.status == ExecutionStatus.FAILED or (run.status == ExecutionStatus.PARTIAL and number)
            wave = WaveRun(
                execution=run,
                number=number,
                name=f"Tier {number + 1}",
                status=WaveStatus.FAILED if failed else WaveStatus.COMPLETED,
                started_at=run.started_at,
                ended_at=run.ended_at,
            )
            waves.append(wave)
            key = at * WAVES + number
            job = LaunchJob(
                wave=wave, position=0, account_id="111122223333", region="us-east-1", status=JobStatus.COMPLETED,
                attempt=1, intent_at=run.started_at, created_at=run.started_at, job_id=f"drsjob-e{key:016x}",
            )  # fmt: skip
            jobs.append(job)
            came_up = LaunchStatus.TERMINATED if at < cleaned_up else LaunchStatus.LAUNCHED
            servers += [
                ServerRun(
                    wave=wave, job=job, position=each, source_server_id=server_id(key % 1000, each),
                    hostname=f"host-{key % 1000:05d}-{each}", phase=Phase.DONE,
                    launch_status=LaunchStatus.FAILED if failed else came_up,
                    terminated_at=run.ended_at if not failed and came_up is LaunchStatus.TERMINATED else None,
                    recovery_instance_id="" if failed else f"i-{key * 2 + each:017x}",
                    launched_at=None if failed else run.ended_at,
                )
                for each in range(2)
            ]  # fmt: skip
    WaveRun.objects.bulk_create(waves, batch_size=1000)
    LaunchJob.objects.bulk_create(jobs, batch_size=1000)
    ServerRun.objects.bulk_create(servers, batch_size=1000)


def leave_behind(recent: int) -> None:
    """Journal and job logs of so many runs, the newest; the journal is sealed, as an engine would have done."""
    from django.db import connection

    from audit import sealing
    from audit.models import AuditEntry
    from executions.models import Execution, JobEvent, LaunchJob

    runs = list(
        Execution.objects.order_by("-started_at").values_list("pk", "plan_name", "started_at", "ended_at")[:recent]
    )
    AuditEntry.objects.bulk_create(
        (
            AuditEntry(
                at=at, actor="bench", actor_kind="system", verb=verb, subject_kind="execution", subject_id=str(pk),
                subject_name=name, detail={"attempt": 1},
            )
            for pk, name, started, ended in reversed(runs)
            for verb, at in (("execution.start", started), ("execution.end", ended))
            if at is not None
        ),
        batch_size=1000,
    )  # fmt: skip
    jobs = LaunchJob.objects.filter(wave__execution__started_at__gte=runs[-1][2]) if runs else LaunchJob.objects.none()
    JobEvent.objects.bulk_create(
        (
            JobEvent(job_id=pk, at=created + timedelta(seconds=30 * at), event=event, data={}, digest=f"{pk}{at}"[-64:])
            for pk, created in jobs.values_list("pk", "created_at")
            if created is not None
            for at, event in enumerate(LOG)
        ),
        batch_size=1000,
    )
    while sealing.seal() == sealing.BATCH:
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _runs(numbers: range, plans: list[uuid.UUID], begin: datetime) -> "Iterator[Execution]":
    from executions.models import Execution
    from executions.states import ExecutionStatus, Kind

    ends = (ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED, ExecutionStatus.PARTIAL, ExecutionStatus.FAILED)
    for number in numbers:
        started = begin + timedelta(minutes=10 * number)
        yield Execution(
            plan_id=plans[number % len(plans)],
            plan_name=f"Plan {number % len(plans):05d}",
            kind=Kind.DRILL,
            status=ends[number % len(ends)],
            total_waves=WAVES,
            initiated_by="bench",
            started_by="bench",
            started_at=started,
            ended_at=started + timedelta(minutes=9),
        )


if __name__ == "__main__":
    main()
