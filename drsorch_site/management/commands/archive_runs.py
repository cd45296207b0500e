"""`manage.py archive_runs`: what DRSORCH_RETENTION_DAYS asks for, now; an engine does it once an hour."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from contract.clock import db_clock
from reports.archiving.retention import archive_due


class Command(BaseCommand):
    help = "Archives runs that were hidden more than DRSORCH_RETENTION_DAYS ago, and deletes their rows."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.RETENTION_DAYS:
            self.stdout.write("DRSORCH_RETENTION_DAYS is not set: everything is kept.")
            return
        gone = archive_due(db_clock(), settings.RETENTION_DAYS, settings.ARCHIVE)
        self.stdout.write(f"Archived to {settings.ARCHIVE} and deleted here: {gone} runs.")
