"""`manage.py takeover BUNDLE`: an empty installation goes on where another one was lost (docs/adr/0114-takeover.md)."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from audit import sealing
from contract.names import visible
from reports.archiving.archive_store import NotStored, load
from takeover.takeover import Refused, claim, take_over


class Command(BaseCommand):
    help = "Takes over from another installation by its bundle. It launches nothing from then on, should it come back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("bundle", nargs="?", default="", help="its file, or s3://BUCKET/KEY")
        parser.add_argument(
            "--reclaim",
            action="store_true",
            help="go on with this installation's own data: a takeover that was interrupted, or one made by mistake",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["bundle"]) == options["reclaim"]:
            raise CommandError(
                "Name the bundle; or say --reclaim, without one, to go on with this installation's data."
            )
        try:
            runs = claim(self._tell) if options["reclaim"] else take_over(load(options["bundle"]), self._tell)
        except (Refused, NotStored) as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        for run in runs:
            self._tell(f"Under way, waits for you when AWS was asked what it has launched: {run} ({run.pk})")
        try:
            call_command("unknown_launches", stdout=self.stdout)
        except CommandError as error:
            self._tell(f"Whether the lost installation launched what is in no run is not known: {error}")
        verdict = sealing.verify()
        if verdict.problem:
            raise CommandError(f"The journal does not hold: {verdict.problem}.")
        self._tell("Start web and engines. Each run is looked for at AWS, then waits for you: resume or cancel it.")

    def _tell(self, text: str) -> None:
        self.stdout.write(visible(text))
