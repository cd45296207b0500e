"""`manage.py backup FILE`: a whole copy of the database, while everything works on."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from audit.actor import SYSTEM
from audit.journal import OK, record
from drsorch_site.backup import BackupError, back_up

BEGUN = "BEGUN"


class Command(BaseCommand):
    help = "Writes a checked copy of the database to FILE, while web and engines work on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write; it must not exist")

    def handle(self, *args: Any, **options: Any) -> None:
        target: Path = options["file"]
        self._note(target, BEGUN)  # before, so that the copy says itself when it was made: restore reads it
        try:
            back_up(target)
        except BackupError as error:
            self._note(target, "FAILED", text=str(error))
            raise CommandError(str(error)) from None
        size = target.stat().st_size
        self._note(target, OK, bytes=size)
        self.stdout.write(f"Backed up to {target} ({size:,} bytes). It holds what the database holds.")

    def _note(self, target: Path, outcome: str, **detail: object) -> None:
        try:
            record(
                SYSTEM,
                "database.backup",
                subject_kind="database",
                subject_id=target.name,
                outcome=outcome,
                detail=detail,
            )
        except DatabaseError as error:  # full or read-only: then a copy is wanted most
            self.stderr.write(f"The journal cannot note the backup ({error}); copying all the same.")
