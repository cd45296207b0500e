"""`manage.py unknown_launches`: what this product launched at AWS and this database knows nothing of.

A launch that an engine will still take over, because its row is there and only DRS's job is not known yet, is told
apart: whoever terminated its instances would end servers of a recovery that goes on.
"""

import uuid
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts.registry import way_of
from contract.clock import db_clock, utc
from contract.names import visible
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import Job
from executions.launching.adopt import EXECUTION_TAG, LAUNCH_TAG
from executions.models import LaunchJob
from executions.states import JobStatus
from protection.inventory.source_servers import accounts_of, places_in_use


class Command(BaseCommand):
    help = "Names DRS jobs that carry this product's tags and stand in no run: for after a restore. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--hours", type=int, default=48, help="how far to look back, 48 by default")
        parser.add_argument(
            "--region", action="append", default=[], help="beside the regions of all groups; repeatable"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        since = db_clock() - timedelta(hours=options["hours"])
        known = set(LaunchJob.objects.exclude(job_id="").values_list("job_id", flat=True))
        awaited = _awaited()
        unknown: list[str] = []
        ours: list[str] = []
        places = places_in_use() | {("", each) for each in options["region"]}
        asked = {(place[1], each) for place in places for each in _accounts(*place)}
        for region, account in sorted(asked):
            try:
                jobs = Drs(region, account).jobs_since(since)
            except DrsError as error:
                raise CommandError(f"DRS in {region} cannot be asked: {error}") from error
            for job in jobs:
                if EXECUTION_TAG in job.tags and job.job_id not in known:
                    fate = awaited.get(job.tags.get(LAUNCH_TAG, ""))
                    if fate is None:
                        unknown.append(_line(region, account, job))
                    else:
                        ours.append(f"{_line(region, account, job)}. {fate}")
        self._tell(*unknown, f"{len(unknown)} launches of the last {options['hours']} h are unknown here.")
        if ours:
            self._tell(f"{len(ours)} more are of runs of this database. Leave their instances alone:", *ours)

    def _tell(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(visible(line))


def _awaited() -> dict[str, str]:
    """Launches whose job at DRS an engine may still have to find, by their tag, and what becomes of them."""
    unsettled = Q(status=JobStatus.INITIATED) | Q(status=JobStatus.QUEUED, wave__execution__ended_at=None)
    looks_first = Q(status=JobStatus.INITIATED) | Q(attempt__gt=0)
    ids = LaunchJob.objects.filter(unsettled, job_id="")
    found = {str(pk): "An engine takes it over." for pk in ids.filter(looks_first).values_list("pk", flat=True)}
    unmarked = "No engine may start before restore --in-place: it would launch this again."
    return found | {str(pk): unmarked for pk in ids.exclude(looks_first).values_list("pk", flat=True)}


def _accounts(way: str, region: str) -> list[str]:
    """Whom to ask there: who is entered by a role, or whom groups say that our own credentials are of."""
    return [way] if way else [each for each in accounts_of(region) if not way_of(each)] or [""]


def _line(region: str, account: str, job: Job) -> str:
    servers = ", ".join(each.source_server_id for each in job.participants)
    run = uuid.UUID(job.tags[EXECUTION_TAG])
    region = f"{region} of {account}" if way_of(account) else region
    return f"{region} {job.job_id} {utc(job.created_at)}, run {run}: {servers}"
