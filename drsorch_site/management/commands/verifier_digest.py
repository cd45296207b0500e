"""`manage.py verifier_digest`: which drsorch-verify is of this version."""

from typing import Any

from django.core.management.base import BaseCommand

from drsorch_verify import digest_of_sources


class Command(BaseCommand):
    help = "Prints the digest of drsorch-verify's sources; drsorch_verify/README.md says how to compare it."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(digest_of_sources())
