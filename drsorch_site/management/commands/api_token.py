"""`manage.py api_token --user NAME`: a Bearer token for the API, local sign-in only."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from audit.actor import SYSTEM
from audit.journal import record
from identity.programs.principals import is_service
from identity.tokens import make_token

HOURS_MAX = 24 * 366


class Command(BaseCommand):
    help = "Prints a Bearer token for the API. It ends with its time, with the password, or with the account."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="the user name that the token acts for")
        parser.add_argument("--hours", type=int, default=12, help="how long it is good, 12 by default")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.AUTH_MODE != "local":
            raise CommandError("Tokens are issued by the identity provider: DRSORCH_AUTH is not local.")
        if not 1 <= options["hours"] <= HOURS_MAX:
            raise CommandError(f"--hours must be 1 to {HOURS_MAX}.")
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['user']!r}. Make one: manage.py createsuperuser")
        if is_service(user):
            raise CommandError(f"{user.get_username()} is a program. It has tokens of its own: manage.py service_token")
        record(
            SYSTEM,
            "token.create",
            subject_kind="user",
            subject_id=user.pk,
            subject_name=user.get_username(),
            detail={"hours": options["hours"]},
        )
        self.stdout.write(make_token(user, timedelta(hours=options["hours"])))
