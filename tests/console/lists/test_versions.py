"""Versions of plans and groups: what the journal kept, compared with now, and restored by an ordinary save."""

import pytest
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM, Actor
from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from identity.scoped.services import give
from plans.editor.versions import as_asked
from plans.models import RecoveryPlan
from plans.services import as_kept, update_plan
from protection.models import GroupLabel, ProtectionGroup
from protection.services import update_group
from schedules.models import Schedule
from tests.console import world
from tests.console.test_pages import look, words
from tests.support.api_client import make_user

pytestmark = [pytest.mark.both, pytest.mark.django_db]

ANN = Actor("ann@example.com", kind="system")


def same(plan: RecoveryPlan) -> dict[str, object]:
    """A plan as it is kept, but for the number of its version."""
    return {name: value for name, value in as_kept(RecoveryPlan.objects.get(pk=plan.pk)).items() if name != "version"}


def test_a_version_of_a_plan_is_compared_and_restored(chief: Client) -> None:
    plan = world.plan("Payments", sizes=(2, 1, 1))
    update_plan(actor=SYSTEM, plan_id=plan.pk, labels=[("z", "1"), ("app", "pay")], rto_minutes=60)
    then = same(plan)
    _, waves = as_asked(as_kept(plan))
    update_plan(actor=ANN, plan_id=plan.pk, waves=waves[:2], name="Billing", rto_minutes=None, labels=[])
    said = words(look(chief, "plan-versions", plan.pk))
    assert "3 " in said
    assert "ann@example.com labels, name, RTO, waves as it is now" in said.replace("  ", " ")
    gone = waves[2].server_ids[0]
    name = ProtectionGroup.objects.get(assignments__source_server_id=gone).name.replace("group", "server")
    said = words(look(chief, "plan-version", plan.pk, 2))
    for each in (
        "Name: “Payments” then, “Billing” now.",
        "RTO: “60” then, nothing now.",
        "Labels: “app=pay, z=1” then, nothing now.",
        "It had 3 waves and has 2.",
        f"Wave 3, Payments tier 3, is there only then: {name}-0.",
    ):
        assert each in said, each
    page = reverse("plan-version", args=[plan.pk, 2])
    stale = chief.post(page, {"seen": "2"})
    assert stale.status_code == 412, "somebody has changed it since the page was opened"
    assert chief.post(page, {}).status_code == 412
    restored = chief.post(page, {"seen": "3"}, follow=True)
    assert restored.redirect_chain == [(reverse("plan", args=[plan.pk]), 302)]
    assert "Version 2 of “Payments” was restored." in restored.content.decode()
    assert same(plan) == then
    entry = AuditEntry.objects.filter(verb="plan.update", subject_id=str(plan.pk), refused=False)[0]
    assert entry.before
    assert entry.after
    assert (entry.before["planName"], entry.after["planName"], entry.after["version"]) == ("Billing", "Payments", 4)
    assert "It is the same as the plan as it is now." in words(look(chief, "plan-version", plan.pk, 2))
    run = world.start(RecoveryPlan.objects.get(pk=plan.pk))
    refused = chief.post(reverse("plan-version", args=[plan.pk, 3]), {"seen": "4"})
    assert refused.status_code == 409
    assert "is being run" in words(refused.content.decode())
    assert run.pk in Execution.objects.values_list("pk", flat=True)
    assert chief.get(reverse("plan-version", args=[plan.pk, 99])).status_code == 404


def test_a_version_that_cannot_be_any_more_is_refused_by_the_same_checks(chief: Client, onlooker: Client) -> None:
    plan = world.plan("Payments", sizes=(2, 1))
    _, waves = as_asked(as_kept(plan))
    update_plan(actor=SYSTEM, plan_id=plan.pk, waves=waves[:1])
    ProtectionGroup.objects.get(pk=waves[1].group_ids[0]).delete()
    refused = chief.post(reverse("plan-version", args=[plan.pk, 1]), {"seen": "2"})
    assert refused.status_code == 400
    assert same(plan)["waves"] == as_kept(RecoveryPlan.objects.get(pk=plan.pk))["waves"]
    assert plan.waves.count() == 1
    assert "You may not change this plan." in words(look(onlooker, "plan-version", plan.pk, 1))
    assert onlooker.post(reverse("plan-version", args=[plan.pk, 1]), {"seen": "2"}).status_code == 403


def test_a_version_of_a_group_is_compared_and_restored(chief: Client, simulator: RunningSimulator) -> None:
    servers = [world.server("web-1"), world.server("web-2")]
    group = world.group("Web", servers)
    update_group(actor=SYSTEM, group_id=group.pk, description="Shop", labels=[("app", "shop")])
    update_group(actor=SYSTEM, group_id=group.pk, source_server_ids=servers[:1], labels=[], name="Shop")
    said = words(look(chief, "group-version", group.pk, 2))
    for each in ("Name: “Web” then, “Shop” now.", "Labels: “app=shop” then, nothing now.", "Servers only then: web-2."):
        assert each in said, each
    refused = chief.post(reverse("group-version", args=[group.pk, 2]), {"seen": "3"})
    assert refused.status_code in (400, 422), "DRS knows no such server: the same check as of any save"
    update_group(actor=SYSTEM, group_id=group.pk, description="", name="Web")
    assert chief.post(reverse("group-version", args=[group.pk, 3]), {"seen": "4"}).status_code == 302
    group.refresh_from_db()
    assert (group.name, group.version) == ("Shop", 5)


def test_an_older_version_names_nothing_that_one_does_not_see(client: Client) -> None:
    plan = world.plan("Payments", sizes=(1, 1))
    mine, other = (ProtectionGroup.objects.get(name=f"Payments group {at}") for at in (0, 1))
    GroupLabel.objects.create(group=mine, key="app", value="pay")
    _, waves = as_asked(as_kept(plan))
    update_plan(actor=SYSTEM, plan_id=plan.pk, waves=waves[:1], labels=[("app", "pay")])
    user = make_user()
    user.groups.add(give(actor=SYSTEM, group="Payments people", role="viewer", label="app=pay").group)
    client.force_login(user, backend="identity.auth.RoleBackend")
    said = words(look(client, "plan-version", plan.pk, 1))
    assert f"Wave 2, Payments tier 2, is there only then: {waves[1].server_ids[0]}." in said
    assert "Payments server 1-0" not in said
    assert other.name not in said


def test_a_plan_is_duplicated_under_another_name_and_nothing_starts(chief: Client) -> None:
    plan = world.plan("Payments")
    update_plan(actor=SYSTEM, plan_id=plan.pk, labels=[("app", "pay")], rto_minutes=60)
    assert 'value="Payments (copy)"' in look(chief, "duplicate-plan", plan.pk)
    page = reverse("duplicate-plan", args=[plan.pk])
    for wrong, status in (("", 400), ("payments", 409)):
        assert chief.post(page, {"name": wrong}).status_code == status
    made = chief.post(page, {"name": "Payments 2", "labels": "on"})
    copy = RecoveryPlan.objects.get(name="Payments 2")
    assert made["Location"] == reverse("edit-plan", args=[copy.pk])
    assert {**same(copy), "planName": ""} == {**same(plan), "planName": ""}
    assert not Schedule.objects.exists()
    assert not Execution.objects.exists()


def test_a_wave_is_duplicated_without_its_servers(chief: Client) -> None:
    plan = world.plan("Payments", sizes=(2, 2))
    form = chief.get(reverse("edit-plan", args=[plan.pk])).context["draft"]
    wave = form.waves[1]
    sent = {"version": "1", "name": "Payments", "wave": ["0", "1"], "do": "copy:1"}
    for each in form.waves:
        places = each.form.fields
        sent |= {f"w-{each.key}-{place}": each.form[place].value() for place in places if each.form[place].value()}
    answer = chief.post(reverse("edit-plan", args=[plan.pk]), sent)
    draft = answer.context["draft"]
    assert [each.name for each in draft.waves] == [form.waves[0].name, wave.name, f"{wave.name} (copy)"]
    copy = draft.waves[2]
    assert (copy.groups, copy.servers, copy.form.given()["pause_before"]) == (wave.groups, [], True)
    assert "without its servers: a server can be in one wave only" in words(answer.content.decode())
    assert plan.waves.count() == 2
