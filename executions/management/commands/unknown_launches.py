"""`manage.py unknown_launches`: what this product launched at AWS and this database knows nothing of."""

import uuid
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from contract.clock import db_clock
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import Job
from executions.launch import EXECUTION_TAG
from executions.models import LaunchJob
from protection.inventory import regions_in_use


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
        found = 0
        for region in sorted(regions_in_use() | set(options["region"])):
            try:
                jobs = Drs(region).jobs_since(since)
            except DrsError as error:
                raise CommandError(f"DRS in {region} cannot be asked: {error}") from error
            for job in jobs:
                if EXECUTION_TAG in job.tags and job.job_id not in known:
                    self.stdout.write(_line(region, job))
                    found += 1
        self.stdout.write(f"{found} launches of the last {options['hours']} h are unknown here.")


def _line(region: str, job: Job) -> str:
    servers = ", ".join(each.source_server_id for each in job.participants)
    run = uuid.UUID(job.tags[EXECUTION_TAG])
    return f"{region} {job.job_id} {job.created_at:%Y-%m-%d %H:%M:%S} UTC, run {run}: {servers}"
