"""`manage.py ready`: what `/readyz` tells, for whoever is on the host while nobody can sign in."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from drsorch_site import health


class Command(BaseCommand):
    help = "Says whether database, migrations and engine are ready, and what is wrong if not."
    requires_system_checks: list[str] = []  # they look into the database, which may be what is wrong

    def handle(self, *args: Any, **options: Any) -> None:
        found = health.latest.get()
        for name, told in {**found.checks, **found.inventory}.items():
            self.stdout.write(f"{name}: {told}")
        if not found.is_ready:
            raise CommandError("Not ready.")
