"""One entry for every refused action, whoever refused it, and none for what is no action of ours."""

import inspect
import pkgutil
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, override_settings

import accounts
import doctor
import documents
import drill_requests
import drsorch_site
import executions
import findings
import identity
import native_plans
import notify
import plans
import protection
import reports
import schedules
from audit import journal
from audit.actor import SYSTEM, Actor, person
from audit.models import AuditEntry
from contract.errors import DomainError, Forbidden
from drs_simulator.testing import RunningSimulator
from executions.commands import control
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.console import world
from tests.identity.rules import API, CONSOLE
from tests.support.api_client import Api, make_user

pytestmark = pytest.mark.django_db


ROOMS = (
    protection, plans, notify, executions, reports, identity, doctor, documents, schedules, accounts, native_plans,
    drill_requests, findings, drsorch_site,
)  # fmt: skip


def actions() -> Iterator[Callable[..., Any]]:
    """Every public function that acts for somebody: it takes `actor` by keyword."""
    for room in ROOMS:
        for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if found.name == "drsorch_site.wsgi":
                continue  # it would start
            module = import_module(found.name)
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == found.name and not name.startswith("_"):
                    parameter = inspect.signature(function).parameters.get("actor")
                    if parameter is not None and parameter.kind is parameter.KEYWORD_ONLY:
                        yield function


def test_every_action_journals_its_refusals() -> None:
    found = {f"{each.__module__}.{each.__qualname__}" for each in actions()}
    assert {
        "executions.commands.control.start",
        "plans.services.delete_plan",
        "protection.services.create_group",
    } <= found
    steps, several = "doctor.first_steps.services", "executions.commands.several"  # what they call journals for itself
    found -= {f"{steps}.accept", f"{steps}.plan_of_one", f"{several}.start_drills", f"{several}.terminate_drills"}
    assert found == set(journal.VERBS), "put @attempt on the function that lacks it"
    assert len(set(journal.VERBS.values())) == len(journal.VERBS)


def refusals() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(refused=True).order_by("id").values_list("verb", "outcome"))


@pytest.mark.both
def test_it_records_a_refusal_with_who_what_and_why() -> None:
    actor = Actor("somebody", address="192.0.2.7", request_id="abc")
    key = uuid.uuid4()
    with pytest.raises(Forbidden):
        control.cancel(actor=actor, execution_id=key, comment="Enough.")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.outcome, entry.refused) == (
        "somebody",
        "execution.cancel",
        "FORBIDDEN",
        True,
    )
    assert (entry.subject_kind, entry.subject_id) == ("execution", str(key))
    assert (entry.address, entry.request_id) == ("192.0.2.7", "abc")
    assert entry.detail["comment"] == "Enough."
    assert entry.detail["message"].startswith("You may not cancel runs")
    assert entry.detail["details"] == {"right": "executions.control_execution"}


@pytest.mark.both
def test_a_refusal_survives_the_transaction_that_it_ended(admin: Api) -> None:
    """Idempotency-Key has the start in a transaction around the service's own."""
    run = world.start(world.plan())
    before = AuditEntry.objects.count()
    body = {"planId": str(run.plan_id), "executionType": "DRILL"}
    assert admin.post("/executions", body, Idempotency_Key="k1").status_code == 409
    assert refusals() == [("execution.start", "PLAN_ALREADY_EXECUTING")]
    assert AuditEntry.objects.count() == before + 1
    entry = AuditEntry.objects.get(refused=True)
    assert entry.actor == admin.user.email
    assert entry.subject_id == str(run.plan_id)
    assert entry.request_id
    assert entry.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "verb"),
    [
        ("POST", "/protection-groups", b"{", 400, "MALFORMED_JSON", "group.create"),
        ("POST", "/protection-groups", {"groupName": 7}, 400, "VALIDATION_ERROR", "group.create"),
        ("PUT", "/recovery-plans/nonsense", {}, 404, "NOT_FOUND", "plan.update"),
        ("POST", "/recovery-plans", b"x" * 1_048_577, 413, "PAYLOAD_TOO_LARGE", "plan.create"),
        ("DELETE", "/nowhere", None, 404, "NOT_FOUND", "request.refused"),
    ],
)
def test_it_records_a_request_that_no_service_saw(
    admin: Api, method: str, path: str, body: Any, status: int, code: str, verb: str
) -> None:
    assert admin.send(method, path, body).status_code == status
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.outcome, entry.refused) == (verb, code, True)
    assert entry.subject_name == f"{method} /api/v1{path}"
    assert entry.actor == admin.user.email


def test_it_records_a_forged_form() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("operator"), backend="identity.auth.RoleBackend")
    run = world.paused()
    assert client.post(f"/executions/{run.pk}/resume").status_code == 403
    assert refusals() == [("execution.resume", "FORBIDDEN")]
    assert AuditEntry.objects.get(refused=True).subject_id == str(run.pk)


def test_it_records_a_form_that_is_not_valid() -> None:
    client = Client()
    client.force_login(make_user("operator"), backend="identity.auth.RoleBackend")
    run = world.paused()
    assert client.post(f"/executions/{run.pk}/cancel", {"comment": "x" * 513}).status_code == 422
    assert refusals() == [("execution.cancel", "VALIDATION_ERROR")]


def test_each_address_that_changes_something_has_its_verb() -> None:
    changing = {(rule.name, rule.method) for rule in [*API, *CONSOLE] if rule.method != "GET"}
    unkept = {("session", "POST"), ("ignore-suggestion", "POST"), ("api-configuration-diff", "POST")}
    unkept |= {("compare-runs", "POST")}  # it asks
    assert changing - unkept == set(settings.JOURNAL_VERBS)
    assert set(settings.JOURNAL_VERBS.values()) <= set(journal.VERBS.values())


def test_it_records_one_refusal_of_the_console(onlooker: Client) -> None:
    run = world.paused()
    onlooker.post(f"/executions/{run.pk}/resume")
    assert refusals() == [("execution.resume", "FORBIDDEN")]


@pytest.fixture
def onlooker() -> Client:
    client = Client()
    client.force_login(make_user("viewer"), backend="identity.auth.RoleBackend")
    return client


@override_settings(THROTTLES={**settings.THROTTLES, "user": "1/min"})
def test_strangers_floods_and_readers_leave_no_entry(admin: Api) -> None:
    stranger = Client()
    assert stranger.post("/api/v1/executions", {}, content_type="application/json").status_code == 401
    assert stranger.post("/executions/cancel").status_code == 404
    assert admin.get("/recovery-plans/nonsense").status_code == 404
    assert admin.post("/executions", {}).status_code == 429
    assert not AuditEntry.objects.exists()


def test_it_records_once_for_each_accepted_action(admin: Api, simulator: RunningSimulator) -> None:
    plan = world.plan()
    before = AuditEntry.objects.count()
    body = {"planId": str(plan.pk), "executionType": "DRILL"}
    run = admin.post("/executions", body).json()["executionId"]
    admin.post(f"/executions/{run}/cancel", {})
    admin.delete("/executions")
    verbs = AuditEntry.objects.order_by("id").values_list("verb", "refused", "actor")[before:]
    assert list(verbs) == [
        (verb, False, admin.user.email) for verb in ("execution.start", "execution.cancel", "execution.hide")
    ]
    started, cancelled, deleted = AuditEntry.objects.order_by("id")[before:]
    assert started.before == {"activeExecutionId": None}
    assert started.after == {"activeExecutionId": run, "status": "PENDING"}
    assert (cancelled.before, cancelled.after) == ({"status": "PENDING"}, {"status": "CANCELLED"})
    assert (deleted.detail, deleted.after) == ({"executionIds": [run]}, {"hidden": True})


def test_it_records_an_action_that_found_nothing_to_do(admin: Api) -> None:
    run = world.start(world.plan())
    Execution.objects.filter(pk=run.pk).update(status=ExecutionStatus.LAUNCHING)
    for comment in ("Enough.", "I said enough."):
        assert admin.post(f"/executions/{run.pk}/cancel", {"comment": comment}).json()["status"] == "CANCELLING"
    assert admin.delete("/executions").json()["deletedCount"] == 0
    found = AuditEntry.objects.filter(actor=admin.user.email).order_by("id")
    assert [(each.verb, each.detail.get("comment"), each.detail.get("changed")) for each in found] == [
        ("execution.cancel", "Enough.", None),
        ("execution.cancel", "I said enough.", False),
        ("execution.hide", None, False),
    ]


@pytest.mark.both
def test_the_journal_outlives_the_run(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    assert admin.delete("/executions").status_code == 200
    entries = AuditEntry.objects.filter(subject_id=str(run.pk))
    assert [each.verb for each in entries] == ["execution.start"]
    assert entries[0].subject_name == run.plan_name


@pytest.mark.both
def test_a_bug_behind_an_action_is_recorded_as_failed(admin: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        user = User.objects.get(pk=admin.user.pk)
    actor = person(user, address="192.0.2.1")

    @journal.attempt("test.break", "test", subject="name")
    def broken(*, actor: Actor, name: str) -> None:
        raise DomainError("INTERNAL_ERROR", "It broke.")

    try:
        with pytest.raises(DomainError):
            broken(actor=actor, name="x\x00y\r\nz")
    finally:
        journal.VERBS.popitem()
    entry = AuditEntry.objects.get()
    assert entry.subject_name == "x\\x00y\\x0d\\x0az"
    assert entry.outcome == "INTERNAL_ERROR"


@pytest.mark.both
def test_control_characters_do_not_get_into_names_and_nul_into_nothing() -> None:
    entry = journal.record(
        Actor("evil\r\nname\x1b[31m"),
        "test.clean",
        subject_kind="test",
        subject_id="\u202e1",
        subject_name="a\x00b",
        detail={"k\x00": ["\x00", {"x": "\ud800"}], "n": 1, "none": None, "line": "one\ntwo"},
    )
    entry.refresh_from_db()
    assert entry.actor == "evil\\x0d\\x0aname\\x1b[31m"
    assert entry.subject_id == "\\u202e1"
    assert entry.detail == {"k\\x00": ["\\x00", {"x": "\\ud800"}], "n": 1, "none": None, "line": "one\ntwo"}
    assert entry.outcome == "ok"
    assert SYSTEM.may("anything")
