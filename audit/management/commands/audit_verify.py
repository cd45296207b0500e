"""`manage.py audit_verify`: is the journal as it was written?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.sealing import verify


class Command(BaseCommand):
    help = "Seals open journal entries, verifies the whole chain, and names the first entry that does not match."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head", default="", help="a chain head recorded earlier (SEQ:DIGEST) that must be in the chain"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        verdict = verify(options["head"])
        if verdict.problem:
            raise CommandError(f"The journal was tampered with: {verdict.problem}. {verdict.checked} entries hold.")
        self.stdout.write(f"The journal holds: {verdict.checked} entries. Head: {verdict.head}")
        if verdict.note:
            self.stdout.write(verdict.note)
