"""Fills a database with as much as the specification asks for, quickly: groups, plans, source servers, history.

DATABASE_URL=… DJANGO_SECRET_KEY=… python -m bench.seed --groups 1000 --plans 500 --executions 10000
"""

import argparse
import os
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import django
from django.utils import timezone

if TYPE_CHECKING:
    from executions.models import Execution


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill a database for benchmarks.")
    for name, default in (("groups", 1000), ("servers", 4), ("plans", 500), ("executions", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    seed(options.groups, options.servers, options.plans, options.executions)
    print(
        f"{options.groups} groups of {options.servers} servers, {options.plans} plans, {options.executions} executions"
    )


def seed(groups: int, servers: int, plans: int, executions: int) -> None:
    """Groups with their servers in the inventory, plans of two waves, and finished runs over the last years."""
    made_groups = _groups(groups, servers)
    made_plans = _plans(plans, made_groups, servers)
    _executions(executions, made_plans)


def server_id(group: int, position: int) -> str:
    return f"s-3{group:010x}{position:06x}"


def _groups(count: int, servers: int) -> list[uuid.UUID]:
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


def _plans(count: int, groups: list[uuid.UUID], servers: int) -> list[uuid.UUID]:
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


def _executions(count: int, plans: list[uuid.UUID]) -> None:
    from executions.models import Execution

    begin = timezone.now() - timedelta(minutes=10 * count)
    for at in range(0, count, 5000):
        Execution.objects.bulk_create(_runs(range(at, min(at + 5000, count)), plans, begin), batch_size=500)


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
            total_waves=2,
            initiated_by="bench",
            started_by="bench",
            started_at=started,
            ended_at=started + timedelta(minutes=9),
        )


if __name__ == "__main__":
    main()
