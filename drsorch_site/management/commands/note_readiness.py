"""`manage.py note_readiness`: note how ready every plan is now, for the days shown; an engine does it once an hour."""

from typing import Any

from django.core.management.base import BaseCommand

from contract.clock import db_clock
from reports.history.readiness_days import note


class Command(BaseCommand):
    help = "Notes how ready every plan is now. Once in an hour of the day; again in the same hour it notes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Noted of {note(db_clock())} plans.")
