"""`manage.py bundle`: writes what another installation needs to take over, now; an engine does it by itself."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from reports.archiving.archive_store import NotStored
from takeover.writer import Writer


class Command(BaseCommand):
    help = "Writes one sealed file from which manage.py takeover goes on where this installation is lost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", default="", help="a directory or s3://BUCKET/PREFIX, else DRSORCH_BUNDLE")

    def handle(self, *args: Any, **options: Any) -> None:
        where = options["to"] or settings.BUNDLE
        if not where:
            raise CommandError("Say where with --to, or set DRSORCH_BUNDLE: then engines keep a bundle there.")
        try:
            written = Writer(where).write(runbook_seconds=600.0)
        except NotStored as error:
            raise CommandError(f"The bundle was not written: {error}") from error
        self.stdout.write(f"Written: {written}")
