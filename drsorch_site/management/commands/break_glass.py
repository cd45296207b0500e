"""`manage.py break_glass`: what cannot wait when nobody can sign in, because the identity provider is down.

It opens nothing new: whoever can run it has the database's password. But it does what the console would do, by the same
services, and the journal has the person and the reason.
"""

import os
import platform
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit.actor import Actor
from audit.journal import record
from contract.errors import DomainError
from contract.names import visible
from executions.codes.ours import Code
from executions.commands import control, gates
from executions.models import Execution
from executions.states import Kind
from plans.models import RecoveryPlan

# No drills: they can wait, and end running recovery instances.
ACTIONS: dict[str, Callable[[Actor, uuid.UUID, str], Execution]] = {
    "start-recovery": lambda actor, key, reason: control.start(actor=actor, plan_id=key, kind=Kind.RECOVERY),
    "replace-recovery": lambda actor, key, reason: control.start(
        actor=actor, plan_id=key, kind=Kind.RECOVERY, replace_production=True
    ),
    "pause": lambda actor, key, reason: control.pause(actor=actor, execution_id=key, comment=reason),
    "resume": lambda actor, key, reason: control.resume(actor=actor, execution_id=key, comment=reason),
    "pass-gate": lambda actor, key, reason: gates.break_glass(actor=actor, execution_id=key, reason=reason),
    "cancel": lambda actor, key, reason: control.cancel(actor=actor, execution_id=key, comment=reason),
}


class Command(BaseCommand):
    help = "Starts a recovery, or pauses, resumes or cancels a run, for a named person while nobody can sign in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", *ACTIONS])
        parser.add_argument("id", nargs="?", help="of the plan to start, or of the run; `list` prints both")
        parser.add_argument("--person", default="", help="who does this, by first and last name")
        parser.add_argument("--reason", default="", help="why, for the journal")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list()
            return
        person, reason = options["person"].strip(), options["reason"].strip()
        if not person or not reason:
            raise CommandError("Say who you are and why: --person 'Ada Lovelace' --reason 'Cognito is down'.")
        try:
            key = uuid.UUID(options["id"] or "")
        except ValueError:
            raise CommandError("Name the plan or the run by its id: manage.py break_glass list") from None
        actor = Actor(f"{person} (break-glass)", kind="system", address=platform.node())
        self._note(actor, options["action"], key, reason)
        try:
            run = ACTIONS[options["action"]](actor, key, reason)
        except DomainError as error:
            raise CommandError(visible(f"{_said(error)} ({error.code})")) from error
        self.stdout.write(visible(f"{run.pk} {run.plan_name}: {run.state.label}. In the journal as {actor.name}."))

    @transaction.atomic
    def _note(self, actor: Actor, action: str, key: uuid.UUID, reason: str) -> None:
        kind = "plan" if action.endswith("-recovery") else "execution"
        detail = {"action": action, "reason": reason, "uid": os.getuid()}
        record(actor, "access.break_glass", subject_kind=kind, subject_id=key, detail=detail)

    def _list(self) -> None:
        for run in Execution.objects.active().newest_first():
            text = f"run   {run.pk}  {run.state.label:<12} {run.purpose.label} of {run.plan_name}"
            self.stdout.write(visible(text))
        for plan in RecoveryPlan.objects.order_by("name_key"):
            self.stdout.write(visible(f"plan  {plan.pk}  {plan.name}"))


def _said(error: DomainError) -> str:
    """In the words of this command."""
    if error.code != Code.PRODUCTION_RUNNING:
        return error.message
    named = ", ".join(f"{each['hostname']} {each['recoveryInstanceId'] or ''}" for each in error.details["instances"])
    return f"AWS would first terminate instances that may run production: {named}. If they may go, use replace-recovery"
