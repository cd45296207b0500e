"""`manage.py service_token --name N --role R --days D`: a token for a program, in either mode of signing in."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actor import SYSTEM
from contract.errors import Invalid
from identity.programs import service_tokens
from identity.roles import ROLES


class Command(BaseCommand):
    help = "Prints a token for a program. It is shown this once; Settings → Tokens lists and revokes it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="what the program is called; the journal has service:NAME")
        parser.add_argument("--role", required=True, choices=list(ROLES), help="what it may do; never approve a gate")
        parser.add_argument("--days", type=int, default=90, help="how long it is good, 1 to 366, 90 by default")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = service_tokens.create(actor=SYSTEM, name=options["name"], role=options["role"], days=options["days"])
        except Invalid as error:
            texts = [f"--{field}: {' '.join(said)}" for field, said in error.fields.items()]
            raise CommandError(" ".join(texts)) from error
        self.stdout.write(made.token)
