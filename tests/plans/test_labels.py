"""Labels of plans and groups: given and changed in API, editor and administration, kept by the journal, found by lists
through an index, and refused with what is wrong with them."""

import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from plans.editor.draft import PlanDraft, differences
from plans.models import PlanLabel, RecoveryPlan
from plans.services import as_kept
from protection.models import GroupLabel, ProtectionGroup
from tests.console.test_big_drafts import sent
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

PAYMENTS = {"app": "payments", "tier": "1"}


@pytest.fixture
def plan(simulator: RunningSimulator, db: None) -> RecoveryPlan:
    return Stage(simulator).plan("app-01", "web-01")


@pytest.fixture
def planner(client: Client, db: None) -> Client:
    client.force_login(make_user("planner"))
    return client


def the_group() -> ProtectionGroup:
    return ProtectionGroup.objects.order_by("name_key")[0]


def label(plan: RecoveryPlan, group: ProtectionGroup, labels: dict[str, str] = PAYMENTS) -> None:
    for key, value in labels.items():
        PlanLabel.objects.create(plan=plan, key=key, value=value)
        GroupLabel.objects.create(group=group, key=key, value=value)


def test_the_api_takes_shows_and_replaces_them_and_the_journal_keeps_them(admin: Api, plan: RecoveryPlan) -> None:
    group = the_group()
    for path, verb in ((f"/recovery-plans/{plan.pk}", "plan"), (f"/protection-groups/{group.pk}", "group")):
        assert answer(admin.get(path))["labels"] == {}
        shown = answer(admin.put(path, {"labels": {" tier ": "1", "app": " payments "}}))
        assert list(shown["labels"].items()) == [("app", "payments"), ("tier", "1")]
        assert answer(admin.put(path, {"description": "x"}))["labels"] == PAYMENTS, "what is left out stays"
        assert answer(admin.put(path, shown | {"version": shown["version"] + 1}))["labels"] == PAYMENTS
        assert answer(admin.put(path, {"Labels": {"app": "ledger"}}))["labels"] == {"app": "ledger"}
        entries: Any = AuditEntry.objects.filter(verb=f"{verb}.update").order_by("pk")
        assert [(each.before["labels"], each.after["labels"]) for each in entries] == [
            ({}, PAYMENTS), (PAYMENTS, PAYMENTS), (PAYMENTS, PAYMENTS), (PAYMENTS, {"app": "ledger"}),
        ]  # fmt: skip
        assert answer(admin.put(path, {"labels": {}}))["labels"] == {}
    body = answer(admin.get(f"/recovery-plans/{plan.pk}"))
    made = answer(admin.post("/recovery-plans", {"planName": "B", "waves": body["waves"], "labels": PAYMENTS}), 201)
    assert made["labels"] == PAYMENTS
    answer(admin.delete(f"/recovery-plans/{made['planId']}"))
    assert not PlanLabel.objects.exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"": "x"}, "needs a key"),
        ({"k" * 64: "x"}, "64 characters; at most 63"),
        ({"app": "v" * 256}, "“app” has 256 characters; at most 255"),
        ({"a=b": "x"}, "equals sign"),
        ({"app": "a,b"}, "comma"),
        ({"app": "a\u202eb"}, "cannot be seen"),
        ({"app": "a\x00b"}, "cannot be seen"),
        ({"app": "x", "app ": "y"}, "“app” is given more than once"),
        ({str(number): "" for number in range(21)}, "At most 20 labels; this has 21"),
        ({"app": 1}, "An object of strings"),
        (["app=payments"], "An object of strings"),
    ],
)
def test_what_cannot_be_a_label_is_refused_and_said(admin: Api, plan: RecoveryPlan, labels: Any, said: str) -> None:
    for path in (f"/recovery-plans/{plan.pk}", f"/protection-groups/{the_group().pk}"):
        refused = refusal(admin.put(path, {"labels": labels}), 400, "VALIDATION_ERROR")
        assert list(refused["fields"]) == ["labels"]
        assert said in refused["fields"]["labels"][0]
    longest = {"k" * 63: "v" * 255, **{str(number): "" for number in range(19)}}
    assert answer(admin.put(f"/recovery-plans/{plan.pk}", {"labels": longest}))["labels"] == longest


@pytest.mark.both
def test_lists_are_filtered_by_them(admin: Api, plan: RecoveryPlan, planner: Client) -> None:
    group = the_group()
    label(plan, group)
    for path, page, name in (
        ("/recovery-plans", "plans", plan.name),
        ("/protection-groups", "groups", group.name),
    ):
        for asked, found in (
            ("label=app=payments", 1), ("label=app", 1), ("label=app=payments&label=tier=1", 1),
            ("label=app=", 0), ("label=app=Payments", 0), ("label=app=payments&label=tier=2", 0), ("label=none", 0),
        ):  # fmt: skip
            assert answer(admin.get(f"{path}?{asked}"))["count"] == found, asked
            shown = planner.get(f"{reverse(page)}?{asked}").content.decode()
            assert (f">{name}</a>" in shown) == bool(found), asked
            assert ("matches." in shown) == (not found)
        assert planner.get(f"{reverse(page)}?label=app=payments,%20tier").content.decode().count(f">{name}</a>") == 1
        assert 'href="?label' not in planner.get(reverse(page)).content.decode()
        assert "label=app%3Dpayments" in planner.get(reverse(page)).content.decode(), "a chip leads to its like"
        assert "needs a key" in refusal(admin.get(f"{path}?label==x"), 400, "VALIDATION_ERROR")["fields"]["label"][0]
        refusal(admin.get(f"{path}?name=a&name=b"), 400, "VALIDATION_ERROR")


@pytest.mark.both
@pytest.mark.parametrize(
    ("model", "owner", "index"),
    [(RecoveryPlan, PlanLabel, "plan_label"), (ProtectionGroup, GroupLabel, "group_label")],
)
def test_the_index_is_what_finds_them(db: None, model: Any, owner: Any, index: str) -> None:
    """Among thousands of labels of others, as the planner of the database sees it."""
    others = [{f"{owner.OWNER}_id": uuid.uuid4(), "key": "app", "value": f"other-{each}"} for each in range(3_000)]
    owner.objects.bulk_create(owner(**each) for each in others)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {owner._meta.db_table}")
    assert f"{index} " in model.objects.labeled([("app", "payments")]).explain() + " "


def test_the_editors_take_them_and_say_how_they_differ(plan: RecoveryPlan, planner: Client) -> None:
    group = the_group()
    label(plan, group)
    for address, row in (
        (reverse("edit-plan", args=[plan.pk]), plan),
        (reverse("edit-group", args=[group.pk]), group),
    ):
        page = planner.get(address).content.decode()
        assert 'value="app=payments, tier=1"' in page
        wrong = planner.post(address, sent(page, labels="app=a, app=b", do="save"))
        assert wrong.status_code == 400
        assert "is given more than once" in wrong.content.decode()
        assert 'value="app=a, app=b"' in wrong.content.decode(), "what was typed stays"
        assert planner.post(address, sent(page, labels="app = ledger , on-call", do="save")).status_code == 302
        saved = {each.key: each.value for each in row.labels.all()}
        assert saved == {"app": "ledger", "on-call": ""}
        detail = planner.get(reverse((address.split("/")[1] == "recovery-plans" and "plan") or "group", args=[row.pk]))
        assert ">app=ledger</a>" in detail.content.decode()
        stale = planner.post(address, sent(page, labels="app=mine", do="save"))
        assert stale.status_code == 412
        assert "app=ledger, on-call" in stale.content.decode()
    said = differences(PlanDraft(plan=plan), PlanDraft())
    assert [text for text in said if text.startswith("Labels")] == [
        "Labels: theirs are “app=ledger, on-call”, yours are none."
    ]


def test_the_administration_takes_them(plan: RecoveryPlan, client: Client) -> None:
    user = make_user("admin")
    user.is_staff = user.is_superuser = True
    user.save()
    client.force_login(user)
    group = the_group()
    servers = "\n".join(group.assignments.values_list("source_server_id", flat=True))
    waves = json.dumps(as_kept(plan)["waves"])
    for model, row, given in (
        ("protection_protectiongroup", group, {"servers": servers}),
        ("plans_recoveryplan", plan, {"waves": waves, "drill_lease_ends": "TELL"}),
    ):
        address = reverse(f"admin:{model}_change", args=[row.pk])
        assert client.post(address, {"name": row.name, "version": "1", "labels": "app=a", **given}).status_code == 302
        assert [str(each) for each in row.labels.all()] == ["app=a"]
        assert client.get(address).context["adminform"].form.initial["labels"] == "app=a"
        wrong = client.post(address, {"name": row.name, "version": "2", "labels": "=a", **given})
        assert "needs a key" in str(wrong.context["errors"])


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_them(simulator: RunningSimulator, plan: RecoveryPlan) -> None:
    label(plan, the_group())
    run = Stage(simulator).start(plan, dry_run=True)
    assert run.plan_copy["labels"] == PAYMENTS
