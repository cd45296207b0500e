"""Drills that are asked for: nothing starts by asking, and a person starts each once, in time."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM, Actor, person
from audit.models import AuditEntry
from contract.clock import db_clock
from contract.errors import Forbidden, Invalid
from drill_requests import services
from drill_requests.models import DrillRequest
from executions.models import Execution
from plans.models import RecoveryPlan
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal

pytestmark = [pytest.mark.both, pytest.mark.django_db]


@pytest.fixture
def plan() -> RecoveryPlan:
    return world.plan("Payments")


@pytest.fixture
def asked(plan: RecoveryPlan) -> DrillRequest:
    """A dry run, which needs no DRS."""
    return services.ask(actor=SYSTEM, plan_id=plan.pk, reason="It is Tuesday.", dry_run=True)


def operator() -> Actor:
    return person(make_user("operator"))


def test_whoever_sees_a_plan_may_ask_and_nobody_starts_by_it(plan: RecoveryPlan) -> None:
    api = Api(make_user("viewer"))
    body = {"planId": str(plan.pk), "reason": " The last one was in May. "}
    made = answer(api.post("/drill-requests", body), 201)
    assert (made["status"], made["reason"], made["askedBy"]) == ("OPEN", "The last one was in May.", api.user.email)
    assert made["expiresTime"] - made["askedTime"] == 3600
    assert answer(api.post("/drill-requests", body), 201) == made  # the same, as long as it is open
    assert answer(api.get(f"/drill-requests?planId={plan.pk}"))["items"] == [made]
    assert answer(api.get(f"/drill-requests/{made['drillRequestId']}")) == made
    assert not Execution.objects.exists()
    assert AuditEntry.objects.get(verb="drill_request.create").actor == api.user.email
    for wrong in ("", "x" * 501, "hidden\u202etext"):
        refused = refusal(api.post("/drill-requests", body | {"reason": wrong}), 400, "VALIDATION_ERROR")
        assert list(refused["fields"]) == ["reason"]
    refusal(api.post("/drill-requests", body | {"executionType": "RECOVERY"}), 400, "VALIDATION_ERROR")
    refusal(api.post("/drill-requests", body | {"planId": "0" * 32}), 404, "NOT_FOUND")


def test_a_person_starts_it_once(asked: DrillRequest) -> None:
    somebody = operator()
    run = services.confirm(actor=somebody, request_id=asked.pk)
    assert (run.dry_run, run.started_by, run.initiated_by) == (True, somebody.name, "system")
    with pytest.raises(Invalid, match="was confirmed"):
        services.confirm(actor=operator(), request_id=asked.pk)
    with pytest.raises(Invalid, match="was confirmed"):
        services.decline(actor=operator(), request_id=asked.pk)
    assert Execution.objects.count() == 1
    entry = AuditEntry.objects.get(verb="drill_request.confirm", refused=False)
    assert (entry.actor, entry.detail["askedBy"], entry.detail["executionId"]) == (somebody.name, "system", str(run.pk))
    again = services.ask(actor=SYSTEM, plan_id=asked.plan_id, reason="Once more.", dry_run=True)
    assert again.pk != asked.pk


def test_it_expires_can_be_declined_and_is_not_for_everybody(asked: DrillRequest) -> None:
    late = {"clock": lambda: db_clock() + timedelta(hours=1)}
    with pytest.raises(Invalid, match="has expired"):
        services.confirm(actor=operator(), request_id=asked.pk, **late)
    for nobody in (person(make_user("viewer")), SYSTEM, Actor("service:x", "service", principal=make_user("admin"))):
        for decide in (services.confirm, services.decline):
            with pytest.raises(Forbidden):
                decide(actor=nobody, request_id=asked.pk)
    services.decline(actor=operator(), request_id=asked.pk)
    with pytest.raises(Invalid, match="was declined by"):
        services.confirm(actor=operator(), request_id=asked.pk)
    assert not Execution.objects.exists()


def test_a_start_that_is_refused_leaves_it_open(plan: RecoveryPlan) -> None:
    asked = services.ask(actor=SYSTEM, plan_id=plan.pk, reason="It is Tuesday.", dry_run=True)
    plan.waves.all().delete()
    browser = Client()
    browser.force_login(make_user("operator"))
    page = browser.post(f"/drill-requests/{asked.pk}", {"answer": "start"})
    assert (page.status_code, "no waves" in page.text) == (400, True)
    assert DrillRequest.objects.get().outcome == "OPEN"


def test_the_pages_of_dashboard_and_plan_say_so(asked: DrillRequest) -> None:
    browser, told = Client(), f"system asks for a dry run of {asked.plan.name}"
    browser.force_login(make_user("viewer"))
    for page in ("/", f"/recovery-plans/{asked.plan_id}"):
        assert told in browser.get(page).text
    shown = browser.get(f"/drill-requests/{asked.pk}").text
    assert "You may not start drills" in shown
    assert "All ready" in shown
    mark = _mark(browser)
    assert browser.get(f"/live?mark={mark}&engine=0", headers={"HX-Request": "true"}).status_code == 204
    services.decline(actor=operator(), request_id=asked.pk)
    polled = browser.get(f"/live?mark={mark}&engine=0", headers={"HX-Request": "true"})
    assert (polled.status_code, told in polled.text) == (200, False)
    assert "Declined" in browser.get(f"/drill-requests/{asked.pk}").text


def _mark(browser: Any) -> str:
    return str(browser.get("/").text.split("mark=")[1].split("&")[0])
