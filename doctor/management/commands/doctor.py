"""`manage.py doctor`: would it work here? The same as Settings → Check and `GET /doctor`, with this process's own
credentials."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from contract.errors import DomainError
from contract.names import visible
from doctor.checks import Asked, findings
from doctor.findings import Level, answer


class Command(BaseCommand):
    help = "Checks settings, database, engine, credentials, rights, quotas, launch settings and notifications."
    requires_system_checks: list[str] = []  # they are among what is looked at

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", default="", help="the account that the credentials must be for")
        parser.add_argument("--region", default="", help="this region alone")
        parser.add_argument("--plan", default="", help="the servers of this plan alone, by its id or name")
        parser.add_argument("--json", action="store_true", help="print {checks, ok} and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = Asked.read(account=options["account"], region=options["region"], plan=options["plan"])
        except DomainError as error:
            raise CommandError(error.message) from error
        found = list(findings(asked))
        if options["json"]:
            self.stdout.write(json.dumps(answer(found), indent=2))
        else:
            for each in found:
                line = f"{each.level.value:8} {each.check}: {each.subject}: {each.message}"
                self.stdout.write(visible(line))
                if each.remedy:
                    self.stdout.write(visible(f"         {each.remedy}"))
        if any(each.level is Level.FAILED for each in found):
            sys.exit(1)
