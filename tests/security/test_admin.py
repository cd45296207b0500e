"""Django's admin: one door, one right, services for what is ours, and nothing to change in journal, runs and queue."""

import json
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.console import world
from tests.security.conftest import Browser
from tests.support.stage import Stage

READ_ONLY = [
    "audit.AuditEntry", "audit.AuditSeal", "executions.Execution", "executions.Pacemaker", "executions.LaunchJob",
    "django_q.OrmQ", "django_q.Failure", "django_q.Success", "django_q.Schedule", "protection.SourceServer",
]  # fmt: skip


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def last_entry(verb: str) -> Any:
    return AuditEntry.objects.filter(verb=verb).latest("id")


def errors(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return str(response.context["errors"])


def test_it_has_no_door_of_its_own(client: Client, browser: Browser) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/sign-in?next=%2Fadmin%2F"
    for role in ("viewer", "planner", "operator", "recovery-manager"):
        assert browser(role).get("/admin/", follow=True).status_code == 403
    assert browser("admin").get("/admin/").status_code == 200


def test_being_staff_is_not_enough(browser: Browser) -> None:
    client = browser("viewer")
    User.objects.update(is_staff=True)
    assert client.get("/admin/", follow=True).status_code == 403


def test_it_signs_out_as_the_console_does(browser: Browser) -> None:
    client = browser("admin")
    assert client.post("/admin/logout/")["Location"] == "/signed-out"
    assert client.get("/admin/").status_code == 302
    assert last_entry("session.end").actor.startswith("admin")


def test_every_list_is_shown(browser: Browser) -> None:
    world.paused()
    client = browser("admin")
    User.objects.update(is_superuser=True)
    for model in admin.site._registry:
        assert client.get(address(model, "changelist")).status_code == 200, model


@pytest.mark.parametrize("label", READ_ONLY)
def test_it_changes_no_row_that_has_no_service(browser: Browser, label: str) -> None:
    model = apps.get_model(label)
    world.paused()
    client = browser("admin")
    User.objects.update(is_superuser=True)
    assert client.get(address(model, "changelist")).status_code == 200
    assert client.post(address(model, "add"), {}).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert client.get(address(model, "change", row.pk)).status_code == 200
        assert client.post(address(model, "change", row.pk), {}).status_code == 403
        assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        client.post(address(model, "changelist"), chosen)
        assert model._default_manager.filter(pk=row.pk).exists()


def test_it_makes_changes_and_deletes_a_group_through_the_services(
    browser: Browser, simulator: RunningSimulator
) -> None:
    ids = Stage(simulator).ids("web-01 web-02")
    client = browser("admin")
    add = address(ProtectionGroup, "add")
    given = {"name": "Web", "region": "us-east-1", "description": "", "servers": "\n".join(ids)}
    assert client.post(add, given).status_code == 302
    group = ProtectionGroup.objects.get()
    assert group.owner.startswith("admin")
    assert group.account_id
    assert last_entry("group.create").after["sourceServerIds"] == ids

    assert "exists already" in errors(client.post(add, given))
    assert "does not exist in DRS" in errors(client.post(add, given | {"name": "X", "servers": "s-00000000000000000"}))
    assert last_entry("group.create").outcome == "INVALID_SERVER_IDS"

    change = address(ProtectionGroup, "change", group.pk)
    assert client.get(change).context["adminform"].form.initial["servers"] == "\n".join(ids)
    assert client.post(change, {"name": "Web tier", "servers": ids[0], "version": "1"}).status_code == 302
    entry = last_entry("group.update")
    assert (entry.before["groupName"], entry.after["groupName"]) == ("Web", "Web tier")
    assert entry.after["sourceServerIds"] == ids[:1]
    assert "changed" in errors(client.post(change, {"name": "Late", "servers": ids[0], "version": "1"}))
    assert last_entry("group.update").outcome == "VERSION_CONFLICT"

    assert client.post(address(ProtectionGroup, "delete", group.pk), {"post": "yes"}).status_code == 302
    assert not ProtectionGroup.objects.exists()
    assert last_entry("group.delete").before["groupName"] == "Web tier"


def test_it_refuses_what_the_service_refuses(browser: Browser) -> None:
    plan = world.plan("Payments")
    group = ProtectionGroup.objects.earliest("name")
    client = browser("admin")
    response = client.post(address(ProtectionGroup, "delete", group.pk), {"post": "yes"}, follow=True)
    assert "is used by “Payments”" in response.content.decode()
    assert ProtectionGroup.objects.filter(pk=group.pk).exists()
    entry = last_entry("group.delete")
    assert (entry.refused, entry.outcome, entry.subject_id) == (True, "PG_IN_USE", str(group.pk))
    world.start(plan)
    response = client.post(address(RecoveryPlan, "delete", plan.pk), {"post": "yes"}, follow=True)
    assert "is being run" in response.content.decode()
    assert last_entry("plan.delete").outcome == "PLAN_HAS_ACTIVE_EXECUTION"


def test_it_makes_changes_and_deletes_a_plan_through_the_services(browser: Browser) -> None:
    ids = [world.server(), world.server()]
    group = world.group("Web", ids)
    client = browser("admin")
    waves = [{"waveName": "First", "protectionGroupIds": [str(group.pk)], "serverIds": ids}]
    add = address(RecoveryPlan, "add")
    named = {"name": "Payments", "drill_lease_ends": "TELL"}
    assert client.post(add, {**named, "waves": json.dumps(waves)}).status_code == 302
    plan = RecoveryPlan.objects.get()
    change = address(RecoveryPlan, "change", plan.pk)
    shown = json.loads(client.get(change).context["adminform"].form.initial["waves"])
    assert shown[0]["serverIds"] == ids
    shown[0]["waveName"] = "Renamed"
    assert client.post(change, {**named, "waves": json.dumps(shown), "version": "1"}).status_code == 302
    assert plan.waves.get().name == "Renamed"
    assert last_entry("plan.update").before["waves"][0]["waveName"] == "First"
    for wrong in ("[", "{}", "[1]", '[{"waveNam": "x"}]', '[{"waveName": "x", "serverIds": ["s-1"]}]', "[]"):
        assert errors(client.post(change, {**named, "waves": wrong, "version": "2"})), wrong
    assert client.post(address(RecoveryPlan, "delete", plan.pk), {"post": "yes"}).status_code == 302
    assert not RecoveryPlan.objects.exists()


def test_it_resumes_and_cancels_runs_through_the_services(browser: Browser) -> None:
    run = world.paused("Payments")
    client = browser("admin")
    chosen = {"_selected_action": [str(run.pk)]}
    runs = address(Execution, "changelist")
    client.post(runs, {"action": "resume", **chosen})
    assert Execution.objects.get().state is ExecutionStatus.RUNNING
    again = client.post(runs, {"action": "resume", **chosen}, follow=True)
    assert "The run is not paused." in again.content.decode()
    client.post(runs, {"action": "cancel", **chosen})
    assert Execution.objects.get().state is ExecutionStatus.CANCELLING
    told = AuditEntry.objects.filter(actor__startswith="admin").order_by("id").values_list("verb", "outcome")
    assert list(told) == [
        ("execution.resume", "ok"),
        ("execution.resume", "EXECUTION_NOT_PAUSED"),
        ("execution.cancel", "ok"),
    ]


def test_a_changed_account_is_journaled_without_its_password(browser: Browser) -> None:
    client = browser("admin")
    User.objects.update(is_superuser=True)
    given = {
        "username": "new",
        "usable_password": "true",
        "password1": "a-long-passphrase",
        "password2": "a-long-passphrase",
    }
    assert client.post(address(User, "add"), given).status_code == 302
    user = User.objects.get(username="new")
    page = client.get(address(User, "change", user.pk))
    data: dict[str, Any] = {k: v for k, v in page.context["adminform"].form.initial.items() if isinstance(v, str)}
    data |= {
        "is_active": "on",
        "groups": [Group.objects.get(name="admin").pk],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
    }
    assert client.post(address(User, "change", user.pk), data).status_code == 302
    entry = last_entry("user.update")
    assert (entry.before["groups"], entry.after["groups"]) == ([], ["admin"])
    assert entry.detail["groupsAdded"] == ["admin"]
    kept = json.dumps([[each.detail, each.before, each.after] for each in AuditEntry.objects.all()])
    assert "a-long-passphrase" not in kept
    assert user.password not in kept
    client.post(address(User, "delete", user.pk), {"post": "yes"})
    assert last_entry("user.delete").subject_name == "new"


def test_rights_that_are_given_or_taken_are_named_in_the_journal(browser: Browser) -> None:
    client = browser("admin")
    User.objects.update(is_superuser=True)
    role, right = Group.objects.get(name="operator"), Permission.objects.get(codename="start_recovery")
    kept = list(role.permissions.exclude(codename="start_drill").values_list("pk", flat=True))
    changed = client.post(address(Group, "change", role.pk), {"name": "operator", "permissions": [*kept, right.pk]})
    assert changed.status_code == 302
    entry = last_entry("role.update")
    assert (entry.subject_kind, entry.subject_name) == ("role", "operator")
    assert entry.detail["permissionsAdded"] == ["executions.start_recovery"]
    assert entry.detail["permissionsRemoved"] == ["executions.start_drill"]
    assert "executions.start_drill" in entry.before["permissions"]
    assert "executions.start_drill" not in entry.after["permissions"]
    assert not AuditEntry.objects.filter(verb="group.update").exists()
