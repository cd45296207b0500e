"""What an operator can do on the host while nobody can sign in: the console's own actions, by name, in the journal."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditEntry
from executions.models import Execution
from identity.provider.cognito import Provider
from tests.console import world

pytestmark = pytest.mark.django_db
ADA = {"person": "Ada Lovelace", "reason": "Cognito is down"}


def told(*command: str, **options: str) -> str:
    out = StringIO()
    call_command("break_glass", *command, stdout=out, **options)
    return out.getvalue()


def test_it_resumes_a_paused_recovery_for_a_person_who_cannot_sign_in(cognito: Provider) -> None:
    run = world.paused("Payments")
    assert str(run.pk) in told("list")
    assert "Ada Lovelace" in told("resume", str(run.pk), **ADA)
    assert Execution.objects.get().status == "RUNNING"
    glass, resumed = AuditEntry.objects.filter(actor="Ada Lovelace (break-glass)").order_by("id")
    assert (glass.verb, glass.subject_id, glass.detail["reason"]) == ("access.break_glass", str(run.pk), ADA["reason"])
    assert (resumed.verb, resumed.subject_id, resumed.detail["comment"]) == (
        "execution.resume",
        str(run.pk),
        ADA["reason"],
    )


def test_it_starts_a_recovery(cognito: Provider) -> None:
    plan = world.plan("Payments")
    assert str(plan.pk) in told("list")
    told("start-recovery", str(plan.pk), **ADA)
    run = Execution.objects.get()
    assert (run.kind, run.started_by) == ("RECOVERY", "Ada Lovelace (break-glass)")


def test_it_wants_a_name_and_a_reason_and_journals_refusals(cognito: Provider) -> None:
    run = world.paused("Payments")
    with pytest.raises(CommandError, match="--person"):
        told("resume", str(run.pk), reason="x")
    with pytest.raises(CommandError, match="list"):
        told("resume", "Payments", **ADA)
    assert not AuditEntry.objects.filter(verb="access.break_glass").exists()
    told("resume", str(run.pk), **ADA)
    with pytest.raises(CommandError, match="EXECUTION_NOT_PAUSED"):
        told("resume", str(run.pk), **ADA)
    assert AuditEntry.objects.filter(verb="execution.resume", outcome="EXECUTION_NOT_PAUSED", refused=True).exists()
