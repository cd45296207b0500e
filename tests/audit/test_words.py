"""The journal in words: what was done, to what, with links to what is still there."""

import csv
import io
import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from audit.actor import ENGINE, SYSTEM, Actor
from audit.journal import OK, VERBS, record
from audit.models import AuditEntry
from audit.reading.sentences import DEEDS, outcome, sentence
from contract.status import Tone
from drsorch_site.configuration.journal_verbs import ACTIONS
from executions.commands import control
from executions.console.live_page.event_feed import VERBS as OF_RUNS
from executions.states import ExecutionStatus
from plans.services import update_plan
from tests.console import world
from tests.console.test_pages import look, words
from tests.support.api_client import make_user

pytestmark = [pytest.mark.both, pytest.mark.django_db]


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(make_user("viewer"), backend="identity.auth.RoleBackend")
    return client


def rows(html: str) -> list[str]:
    return re.findall(r"(?s)<tr>\s*<th scope=\"row\">.*?</tr>", html)


def test_every_verb_that_people_are_told_of_has_words() -> None:
    verbs = {verb for name, verb in VERBS.items() if not name.startswith("tests.")} | set(ACTIONS.values())
    assert sorted(verbs - set(DEEDS)) == []
    assert all(words_of for words_of in DEEDS.values())
    assert {"execution.ended", "launch.sent"} <= set(OF_RUNS)


@pytest.mark.parametrize(
    ("verb", "ended", "told"),
    [
        ("execution.stalled", OK, (Tone.NEUTRAL, "Recorded")),
        ("execution.ended", "COMPLETED", (Tone.SUCCESS, "Completed")),
        ("execution.ended", "PARTIAL", (Tone.ATTENTION, "Partial")),
        ("launch.rejected", "SERVER_LAUNCH_FAILED", (Tone.ATTENTION, "SERVER_LAUNCH_FAILED")),
    ],
)
def test_what_an_engine_saw_is_not_done_but_recorded(verb: str, ended: str, told: object) -> None:
    assert outcome(AuditEntry(verb=verb, outcome=ended, actor_kind=ENGINE.kind)) == told


def test_it_tells_what_was_changed_and_leads_there(reader: Client) -> None:
    ann = Actor("ann@example.com", kind="system")
    plan = world.plan("Payments")
    update_plan(actor=ann, plan_id=plan.pk, labels=[("app", "pay")], rto_minutes=30)
    run = world.start(plan)
    server = run.waves.all()[1].servers.all()[0].source_server_id
    control.cancel(actor=ann, execution_id=run.pk, comment="Too early")
    record(ENGINE, "launch.sent", subject_kind="execution", subject_id=run.pk, subject_name="Payments",
           detail={"wave": 0, "region": "us-east-1", "sourceServerId": server})  # fmt: skip
    record(SYSTEM, "role.give", subject_kind="role", subject_id="x", subject_name="operators")
    gone = {"subject_kind": "plan", "subject_id": str(uuid.UUID(int=0)), "subject_name": "Gone"}
    record(ann, "plan.delete", **gone, outcome="CONFLICT", refused=True, detail={"message": "It runs."})  # type: ignore[arg-type]
    html = look(reader, "journal")
    deleted, role, sent, cancelled, *_, changed, _ = rows(html)
    assert "Tried to delete the recovery plan: It runs." in words(deleted)
    assert [words(each).split()[-1] for each in (deleted, role, sent, cancelled)] == [
        "CONFLICT", "Done", "Recorded", "Done",
    ]  # fmt: skip
    assert "plan Gone" in words(deleted)
    assert "/recovery-plans/" not in deleted, "what is there no more is no link"
    assert "Gave a role" in words(role)
    assert "AWS accepted the launch of wave 1 in us-east-1" in words(sent)
    assert f'<a href="{reverse("execution", args=[run.pk])}">run {run.number} of Payments</a>' in sent
    assert f'<a href="{reverse("server", args=[server])}">server ' in sent
    assert "Cancel requested: “Too early”" in words(cancelled)
    assert '<a href="/journal?actor=ann%40example.com">ann@example.com</a>' in cancelled
    assert "Changed the recovery plan: labels, RTO" in words(changed)
    assert f'<a href="{reverse("plan", args=[plan.pk])}">plan Payments</a>' in changed
    assert f'href="/journal?subject={plan.pk}"' in changed
    of_ann = reader.get(reverse("journal"), {"actor": "ann@example.com", "format": "csv"})
    found = list(csv.DictReader(io.StringIO(of_ann.content.decode())))
    assert [each["verb"] for each in found] == ["plan.delete", "execution.cancel", "plan.update"]
    assert found[2]["words"] == "Changed the recovery plan: labels, RTO"


def test_what_was_refused_names_what_it_was_about(reader: Client) -> None:
    """The entry of a refusal has an id alone: the page said “run 1 of 824cadfd-…”."""
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    for verb, kind, subject in (("execution.cancel", "execution", run.pk), ("plan.update", "plan", run.plan_id)):
        record(SYSTEM, verb, subject_kind=kind, subject_id=subject, outcome="CONFLICT", refused=True)
    of_plan, of_run, *_ = rows(look(reader, "journal"))
    assert f">run {run.number} of Payments</a>" in of_run
    assert ">plan Payments</a>" in of_plan


def test_a_verb_without_words_is_shown_legibly(reader: Client) -> None:
    entry = record(SYSTEM, "odd_thing.turn_round", subject_kind="odd_thing", subject_id="1", subject_name="That")
    assert sentence(entry) == "Turn round odd thing"
    assert "odd thing That" in words(look(reader, "journal-entry", entry.pk))
