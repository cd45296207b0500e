"""Subscriptions through the API, the console and the administration; what became of the notifications."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from notify.channels import signing
from notify.models import Delivery, Notice, Subscription, wanting
from notify.states import Event
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal

pytestmark = pytest.mark.django_db

PATH = "/notification-subscriptions"
HOOK = "https://hooks.example.com/services/t0p-s3cret"
GIVEN = {"name": "On call", "channel": "WEBHOOK", "target": HOOK, "events": ["FAILED", "PAUSED"]}


@pytest.fixture
def chief() -> Client:
    world.beat()
    client = Client()
    client.force_login(make_user("admin"), backend="identity.auth.RoleBackend")
    return client


@pytest.mark.both
def test_it_is_made_read_changed_and_deleted(admin: Api, sign_in: Callable[..., Api]) -> None:
    response = admin.post(PATH, GIVEN)
    made = answer(response, 201)
    address = f"{PATH}/{made['subscriptionId']}"
    assert response["Location"] == f"/api/v1{address}"
    assert made["events"] == ["PAUSED", "FAILED"]
    assert (made["allPlans"], made["planId"], made["enabled"]) == (True, None, True)
    secret = made["secret"]
    assert secret.startswith("whsec_")
    got = answer(admin.get(address))
    assert "secret" not in got
    assert got["target"] == HOOK
    assert answer(sign_in("viewer").get(address))["target"] == "https://hooks.example.com/…"
    assert answer(sign_in("viewer").get(PATH))["items"][0]["target"] == "https://hooks.example.com/…"

    plan = world.plan()
    changed = answer(admin.put(address, {**got, "planId": str(plan.pk)}, If_Match='"1"'))
    assert (changed["allPlans"], changed["planId"], changed["version"]) == (False, str(plan.pk), 2)
    assert changed["secret"] is None
    refusal(admin.put(address, {"enabled": False}, If_Match='"1"'), 412, "VERSION_CONFLICT")
    renewed = answer(admin.put(address, {"renewSecret": True}))["secret"]
    assert renewed not in (None, secret)
    moved = answer(admin.put(address, {"target": "https://other.example.com/"}))["secret"]
    assert moved not in (None, renewed)
    assert signing.unseal(Subscription.objects.get().sealed_secret) == moved

    assert "was deleted" in answer(admin.delete(address))["message"]
    refusal(admin.get(address), 404, "NOT_FOUND")
    verbs = [each.verb for each in AuditEntry.objects.filter(verb__startswith="subscription.").order_by("id")]
    assert verbs == ["subscription.create", *["subscription.update"] * 4, "subscription.delete"]
    kept = json.dumps([[e.detail, e.before, e.after] for e in AuditEntry.objects.all()])
    assert "t0p-s3cret" not in kept
    assert secret not in kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"channel": "PIGEON"}, "channel"),
        ({"target": "http://hooks.example.com"}, "target"),
        ({"target": "https://169.254.169.254/latest"}, "target"),
        ({"channel": "EMAIL", "target": "oncall@example.com"}, "target"),
        ({"events": []}, "events"),
        ({"events": ["TEST"]}, "events"),
        ({"events": ["paused"]}, "events"),
        ({"events": ["JOURNAL"], "planId": "7c1f0a9e-0000-4000-8000-000000000000"}, "events"),
        ({"planId": "nonsense"}, "planId"),
        ({"planId": "7c1f0a9e-0000-4000-8000-000000000000"}, "planId"),
        ({"planID": 7}, "planId"),
        ({"secret2": "x"}, "secret2"),
    ],
)
def test_it_names_what_is_wrong(admin: Api, change: dict[str, Any], field: str) -> None:
    assert set(refusal(admin.post(PATH, GIVEN | change), 400, "VALIDATION_ERROR")["fields"]) == {field}
    assert AuditEntry.objects.get().refused
    assert not Subscription.objects.exists()


@pytest.mark.both
def test_a_deleted_plan_must_be_replaced(admin: Api) -> None:
    subscription = world.subscription(plan_id=world.plan().pk)
    Subscription.objects.update(plan=None)
    path = f"{PATH}/{subscription.pk}"
    assert "planId" in refusal(admin.put(path, {"enabled": False}), 400, "VALIDATION_ERROR")["fields"]
    assert answer(admin.put(path, {"planId": None}))["allPlans"] is True


def test_a_test_notification_is_delivered_like_any_other(admin: Api) -> None:
    subscription = world.subscription()
    told = answer(admin.post(f"{PATH}/{subscription.pk}/test"), 202)
    assert (told["event"], told["status"], told["attempts"]) == ("TEST", "PENDING", 0)
    assert Delivery.objects.get().notice.text.startswith(admin.user.email)
    assert AuditEntry.objects.filter(verb="subscription.test", refused=False).exists()


@pytest.mark.both
def test_deliveries_are_listed_and_filtered(admin: Api) -> None:
    first, second = world.subscription("first"), world.subscription("second")
    run = world.start(world.plan("Payments"))
    Delivery.objects.filter(subscription=second).update(
        status="GIVEN_UP", next_try_at=None, ended_at=timezone.now(), attempts=9, error="It answered 500."
    )
    for query, count in {
        "": 2, f"?subscriptionId={first.pk}": 1, f"?executionId={run.pk}": 2, "?status=GIVEN_UP": 1, "?limit=1": 1,
        "?status=DELIVERED": 0, f"?executionId={first.pk}": 0,
    }.items():  # fmt: skip
        assert len(answer(admin.get(f"/notification-deliveries{query}"))["items"]) == count, query
    (given_up,) = answer(admin.get("/notification-deliveries?status=GIVEN_UP"))["items"]
    assert (given_up["attempts"], given_up["error"], given_up["nextAttempt"]) == (9, "It answered 500.", None)
    assert given_up["executionId"] == str(run.pk)
    page = answer(admin.get("/notification-deliveries?limit=1"))
    rest = answer(admin.get(f"/notification-deliveries?limit=1&nextToken={page['nextToken']}"))
    assert rest["nextToken"] is None
    for wrong in ("?status=LOST", "?subscriptionId=x", "?executionId=x", "?limit=0", "?nextToken=x"):
        refusal(admin.get(f"/notification-deliveries{wrong}"), 400, "VALIDATION_ERROR")


def test_the_console_makes_changes_tests_and_deletes(chief: Client) -> None:
    new = reverse("new-subscription")
    assert "New subscription" in chief.get(new).content.decode()
    given = {"name": "Hook", "channel": "WEBHOOK", "target": "http://x", "events": ["PAUSED"], "enabled": "on"}
    wrong = chief.post(new, given)
    assert wrong.status_code == 400
    assert "An https address is expected" in wrong.content.decode()
    assert chief.post(new, {**given, "events": []}).status_code == 422
    page = chief.post(new, {**given, "target": HOOK}).content.decode()
    subscription = Subscription.objects.get()
    assert signing.unseal(subscription.sealed_secret) in page
    edit = reverse("edit-subscription", args=[subscription.pk])
    shown = chief.get(edit).content.decode()
    assert HOOK in shown
    assert signing.unseal(subscription.sealed_secret) not in shown
    plan = world.plan("Payments")
    change = {**given, "target": HOOK, "name": "Hook 2", "plan": str(plan.pk), "version": "1"}
    assert chief.post(edit, change).status_code == 302
    assert chief.post(edit, change).status_code == 412
    assert "Create a new signing key" in shown
    assert chief.post(reverse("test-subscription", args=[subscription.pk])).status_code == 302
    listed = chief.get(reverse("notifications")).content.decode()
    assert "Hook 2" in listed
    assert "Payments" in listed
    assert "Not delivered yet" in listed
    assert HOOK not in listed
    assert "No delivery matches" in chief.get(reverse("notifications"), {"status": "GIVEN_UP"}).content.decode()
    assert chief.post(reverse("delete-subscription", args=[subscription.pk])).status_code == 302
    assert Delivery.objects.get().status == "WITHDRAWN"
    assert "Withdrawn" in chief.get(reverse("notifications")).content.decode()


def test_the_console_asks_for_a_plan_where_it_is_gone(chief: Client) -> None:
    subscription = world.subscription(plan_id=world.plan().pk)
    Subscription.objects.update(plan=None)
    edit = reverse("edit-subscription", args=[subscription.pk])
    assert "Its plan was deleted: choose" in chief.get(edit).content.decode()
    given = {"name": "x", "channel": "SNS", "target": world.TOPIC, "events": ["PAUSED"], "plan": "gone"}
    assert "Choose another, or all plans" in chief.post(edit, given).content.decode()
    assert "None: its plan was deleted" in chief.get(reverse("notifications")).content.decode()


def test_the_administration_makes_changes_and_deletes(chief: Client) -> None:
    add = reverse("admin:notify_subscription_add")
    given = {"name": "Hook", "channel": "WEBHOOK", "target": HOOK, "events": ["PAUSED"], "enabled": "on"}
    refused = chief.post(add, given)
    assert "Choose one plan, or all plans" in str(refused.context["errors"])
    page = chief.post(add, {**given, "all_plans": "on"}, follow=True).content.decode()
    subscription = Subscription.objects.get()
    assert signing.unseal(subscription.sealed_secret) in page
    change = reverse("admin:notify_subscription_change", args=[subscription.pk])
    assert chief.post(change, {**given, "all_plans": "on", "name": "B", "version": "1"}).status_code == 302
    late = chief.post(change, {**given, "all_plans": "on", "name": "C", "version": "1"})
    assert "changed by somebody else" in str(late.context["errors"])
    world.delivery(subscription)
    assert chief.get(reverse("admin:notify_delivery_changelist")).status_code == 200
    delete = reverse("admin:notify_subscription_delete", args=[subscription.pk])
    assert chief.post(delete, {"post": "yes"}).status_code == 302
    verbs = AuditEntry.objects.filter(refused=False).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["subscription.create", "subscription.update", "subscription.delete"]


@pytest.mark.both
def test_an_event_of_a_newer_version_hinders_no_reading(admin: Api, chief: Client) -> None:
    """During an upgrade, or after going back, rows know events that this version does not."""
    known = world.subscription()
    Subscription.objects.update(events=["FAILED", "MOON_ROSE"])
    world.delivery(known)
    Notice.objects.update(event="MOON_ROSE")
    assert admin.get("/notification-subscriptions").json()["items"][0]["events"] == ["FAILED", "MOON_ROSE"]
    assert admin.get("/notification-deliveries").json()["items"][0]["event"] == "MOON_ROSE"
    assert "failed, moon rose" in chief.get("/settings/notifications").content.decode()
    for page in (f"/settings/notifications/{known.pk}", f"/admin/notify/subscription/{known.pk}/change/"):
        assert chief.get(page).status_code == 200
    for page in ("subscription", "notice", "delivery"):
        assert chief.get(f"/admin/notify/{page}/").status_code == 200
    assert known in wanting(Event.FAILED, None)
