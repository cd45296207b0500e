"""`manage.py demo`: database, static files, an administrator and something to recover, for a first look without AWS.

Running it again keeps everything; only what is missing is made.
"""

import logging
import secrets
import uuid
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts import services as accounts
from accounts.models import Account
from accounts.services import Wanted
from audit.actor import SYSTEM
from contract.names import name_key
from drs.errors import DrsError
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, SourceServer
from protection.services import create_group


class Tier(NamedTuple):
    """A protection group and the wave that recovers it."""

    group: str
    wave: str
    hostnames: str
    pause_before: bool = False


EAST = "us-east-1"
PLANS: dict[tuple[str, str], Sequence[Tier]] = {
    ("3-Tier Application Recovery", EAST): (
        Tier("Payments databases", "Database Tier", "db-primary-01 db-replica-01"),
        Tier("Payments application", "Application Tier", "app-01 app-02 app-03"),
        Tier("Payments web", "Web Tier", "web-01 web-02", pause_before=True),
    ),
    ("ERP Recovery", "us-west-2"): (
        Tier("ERP databases", "Database Tier", "erp-db-01 erp-db-02"),
        Tier(
            "ERP application and web", "Application and Web", "erp-app-01 erp-app-02 erp-app-03 erp-web-01 erp-web-02"
        ),
    ),
}


# What the simulator's fleet of two accounts has beside our own.
SECOND = "444455556666"
SECOND_IS = Wanted("Branch offices", f"arn:aws:iam::{SECOND}:role/drsorch-target", "drsorch-demo", [EAST])
OF_BOTH = ("Payments, both accounts", "web-01 web-02")


class Command(BaseCommand):
    help = "Prepares a demonstration on the simulated DRS: database, administrator, groups and plans."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--accounts", type=int, choices=[1, 2], default=1, help="that the simulator's fleet has")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.AWS_ENDPOINT_URL_DRS:
            raise CommandError("The demo needs the simulator: set AWS_ENDPOINT_URL_DRS to its address.")
        logging.getLogger("audit").setLevel(logging.WARNING)  # the journal has it; the screen is for the sign-in
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        try:
            for region in sorted({region for _, region in PLANS}):
                read_region(region)
        except DrsError as error:
            raise CommandError(f"The simulator does not answer: {error}") from error
        for (plan, region), tiers in PLANS.items():
            self._plan(plan, region, tiers)
        if options["accounts"] == 2:
            self._second_account()
        self._administrator()

    def _second_account(self) -> None:
        """Another account, which is entered by a role, and a plan with one wave over both."""
        if not Account.objects.filter(pk=SECOND).exists():
            accounts.create(actor=SYSTEM, account_id=SECOND, wanted=SECOND_IS)
        name, hostnames = OF_BOTH
        if RecoveryPlan.objects.filter(name_key=name_key(name)).exists():
            return
        read_region(EAST, SECOND)
        theirs = SourceServer.objects.filter(account_id=SECOND, hostname__in=hostnames.split())
        ids = list(theirs.order_by("hostname").values_list("pk", flat=True))
        group = create_group(actor=SYSTEM, name="Branch web", region=EAST, source_server_ids=ids, account_id=SECOND)
        ours = ProtectionGroup.objects.get(name_key=name_key("Payments web"))
        members = [*_servers(PLANS["3-Tier Application Recovery", EAST][2], EAST), *ids]
        create_plan(actor=SYSTEM, name=name, waves=[WaveSpec("Web Tier", [ours.pk, group.pk], members)])

    def _administrator(self) -> None:
        user, created = get_user_model().objects.get_or_create(
            username="admin",
            defaults={"email": "admin@example.com", "is_staff": True, "is_superuser": True},
        )
        if created:
            password = secrets.token_urlsafe(12)
            user.set_password(password)
            user.save()
            self.stdout.write(f"Sign in as admin with the password {password} (shown only now).")
        else:
            self.stdout.write("Sign in as admin. A new password: script/manage changepassword admin")

    def _plan(self, name: str, region: str, tiers: Sequence[Tier]) -> None:
        if RecoveryPlan.objects.filter(name_key=name_key(name)).exists():
            return
        waves = [
            WaveSpec(
                name=tier.wave,
                group_ids=[self._group(tier, region)],
                server_ids=_servers(tier, region),
                depends_on=[number - 1] if number else [],
                pause_before=tier.pause_before,
            )
            for number, tier in enumerate(tiers)
        ]
        create_plan(actor=SYSTEM, name=name, waves=waves)

    def _group(self, tier: Tier, region: str) -> uuid.UUID:
        known = ProtectionGroup.objects.filter(name_key=name_key(tier.group)).first()
        group = known or create_group(
            actor=SYSTEM, name=tier.group, region=region, source_server_ids=_servers(tier, region)
        )
        return group.pk


def _servers(tier: Tier, region: str) -> list[str]:
    ours = SourceServer.objects.filter(region=region).read_by("")
    ids = dict(ours.values_list("hostname", "source_server_id"))
    return [ids[hostname] for hostname in tier.hostnames.split()]
