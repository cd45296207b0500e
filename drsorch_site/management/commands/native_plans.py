"""`manage.py native_plans`: compares the plans' copies in DRS, now; an engine has it done every five minutes."""

from typing import Any

from django.core.management.base import BaseCommand

from executions import installation
from native_plans.kept import mend


class Command(BaseCommand):
    help = "Finishes what was begun of plans' copies in DRS, and compares the others."

    def handle(self, *args: Any, **options: Any) -> None:
        if installation.own().superseded_by:
            self.stdout.write(installation.STOPPED)
            return
        finished, failed = mend()
        self.stdout.write(f"Finished: {finished}; could not be asked about or written: {failed}.")
