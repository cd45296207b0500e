"""`manage.py store_runbooks`: what DRSORCH_RUNBOOKS asks for, now; an engine does it every five minutes."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from contract.clock import db_clock
from runbooks.stored import store_changed


class Command(BaseCommand):
    help = "Writes the runbooks of plans that changed to DRSORCH_RUNBOOKS."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.RUNBOOKS:
            self.stdout.write("DRSORCH_RUNBOOKS is not set: runbooks are shown, and not stored.")
            return
        written, failed = store_changed(db_clock(), settings.RUNBOOKS)
        self.stdout.write(f"Written to {settings.RUNBOOKS}: {written} runbooks; not written: {failed}.")
