"""Names that would lie are refused wherever people name things; the stored ones are kept, and listed."""

import unicodedata
from importlib import import_module
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from contract.names import name_key, visible
from contract.naming.lookalikes import look_alike, skeleton
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from drsorch_verify.visible import hidden
from executions.models import Execution
from notify.models import Subscription
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup
from tests.support.api_client import Api, answer, refusal
from tests.support.stage import Stage

IDS = demo_server_ids()
REFUSED = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
LIARS = [
    "\u200b", "\u200d", "\u202e", "\u2066", "\x00", "\x1b", "\n", "\t", "\x7f", "\x9b", "\ue000", "\U000f0000",
    "\u2028", "\u2029", "\ufeff", "\u00ad", "\u180e", "\u3164", "\u115f", "\u2800", "\ufe0f", "\U000e0041",
    "\u061c", "\ufffe",
]  # fmt: skip
MEANT = ["Zahlung Ünïcode 🚒", "給与計算", "⚠️ Payroll", "رواتب", "Straße – “Café” #1", "O'Neil & <b>", "नमस्ते"]


def test_every_hidden_category_of_unicode_is_hidden_here() -> None:
    missed = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in REFUSED and not hidden().match(c)]
    assert missed == []


def test_what_is_shown_hides_nothing_and_is_shown_alike() -> None:
    for liar in LIARS:
        shown = visible(f"Pay{liar}roll")
        assert shown.isprintable(), ascii(shown)
        assert (shown[:4], shown[-4:]) == ("Pay\\", "roll")
        assert visible(shown) == shown
    assert [visible(name) for name in MEANT] == MEANT
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(st.text(max_size=128))
def test_keys_are_stable_short_and_of_one_form(name: str) -> None:
    key = name_key(name)
    assert len(key) <= 512
    assert name_key(key[:128]) == name_key(name_key(key[:128]))
    assert name_key(unicodedata.normalize("NFKD", name)) == name_key(unicodedata.normalize("NFKC", name))


def test_a_letter_that_becomes_many_fits_its_column() -> None:
    one, other = name_key("\ufdfa" * 128), name_key("\ufdfa" * 127 + "x")
    assert len(one) == len(other) == 512
    assert one != other


def group(name: str, host: str = "web-01") -> dict[str, Any]:
    return {"groupName": name, "region": "us-east-1", "sourceServerIds": [IDS[host]]}


def wave(group_id: str, name: str = "Tier 1") -> dict[str, Any]:
    return {"waveName": name, "protectionGroupIds": [group_id], "serverIds": [IDS["web-01"]]}


def faulty(response: Any, field: str, liar: str) -> None:
    fields = refusal(response, 400, "VALIDATION_ERROR")["fields"]
    assert list(fields) == [field]
    if liar != "\x00":  # refused before, with all that no database can keep
        assert f"Character 4 is U+{ord(liar):04X}" in fields[field][0]


@pytest.mark.slow
def test_no_name_hides_anything(admin: Api, simulator: RunningSimulator) -> None:
    """Nothing comes of a refusal: what was made for the first liar is there for all."""
    made = answer(admin.post("/protection-groups", group("Web")), 201)["groupId"]
    plan = answer(admin.post("/recovery-plans", {"planName": "Plan", "waves": [wave(made)]}), 201)["planId"]
    for liar in LIARS:
        name = f"Pay{liar}roll"
        bad = [wave(made, name)]
        start = {"planId": plan, "executionType": "DRILL", "initiatedBy": name}
        topic = {"channel": "SNS", "target": "arn:aws:sns:us-east-1:111122223333:topic", "events": ["FAILED"]}
        faulty(admin.post("/protection-groups", group(name, "app-01")), "groupName", liar)
        faulty(admin.put(f"/protection-groups/{made}", {"groupName": name}), "groupName", liar)
        faulty(admin.post("/recovery-plans", {"planName": name, "waves": [wave(made)]}), "planName", liar)
        faulty(admin.post("/recovery-plans", {"planName": "Other", "waves": bad}), "waves[0].waveName", liar)
        faulty(admin.put(f"/recovery-plans/{plan}", {"planName": name}), "planName", liar)
        faulty(admin.put(f"/recovery-plans/{plan}", {"waves": bad}), "waves[0].waveName", liar)
        faulty(admin.post("/executions", start), "initiatedBy", liar)
        faulty(admin.post("/notification-subscriptions", {"name": name, **topic}), "name", liar)
    assert (ProtectionGroup.objects.get().name, RecoveryPlan.objects.get().name) == ("Web", "Plan")
    assert Wave.objects.get().name == "Tier 1"
    assert not Execution.objects.exists()
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("name", MEANT)
def test_a_name_of_any_language_is_kept_as_typed(admin: Api, simulator: RunningSimulator, name: str) -> None:
    assert answer(admin.post("/protection-groups", group(name)), 201)["groupName"] == name


@pytest.mark.both
@pytest.mark.parametrize(
    ("one", "other"), [("Payroll", "Ｐａｙｒｏｌｌ"), ("ﬁnance", "FINANCE"), ("Café", "CAFE\u0301"), ("⚠️ A", "⚠ a")]
)
def test_one_name_in_two_forms_is_one_name(admin: Api, simulator: RunningSimulator, one: str, other: str) -> None:
    answer(admin.post("/protection-groups", group(one)), 201)
    refusal(admin.post("/protection-groups", group(other, "app-01")), 409, "PG_NAME_EXISTS")


@pytest.fixture
def liar_plan(simulator: RunningSimulator, db: None) -> RecoveryPlan:
    """A plan, its wave and its group, named before names were looked at."""
    plan = Stage(simulator).plan("web-01")
    RecoveryPlan.objects.update(name="Pay\u202eroll", name_key="pay\u202eroll")
    ProtectionGroup.objects.update(name="We\u200bb", name_key="we\u200bb")
    Wave.objects.update(name="Tier\x1b1")
    return RecoveryPlan.objects.get(pk=plan.pk)


def test_a_stored_name_is_kept_when_something_else_changes(admin: Api, liar_plan: RecoveryPlan) -> None:
    path = f"/recovery-plans/{liar_plan.pk}"
    known = answer(admin.get(path))
    changed = answer(admin.put(path, {**known, "description": "New"}))
    assert (changed["planName"], changed["waves"][0]["waveName"]) == ("Pay\u202eroll", "Tier\x1b1")
    shown = {**known["waves"][0], "waveName": "Tier\\x1b1"}
    changed = answer(admin.put(path, {"planName": "Pay\\u202eroll", "description": "As shown", "waves": [shown]}))
    assert (changed["planName"], changed["waves"][0]["waveName"]) == ("Pay\u202eroll", "Tier\x1b1")
    made = answer(admin.get("/protection-groups"))["groups"][0]
    changed = answer(
        admin.put(f"/protection-groups/{made['groupId']}", {"groupName": "We\\u200bb", "description": "x"})
    )
    assert (changed["groupName"], changed["description"]) == ("We\u200bb", "x")
    assert answer(admin.put(path, {"planName": "Payroll"}))["planName"] == "Payroll"


@pytest.mark.both
def test_check_lists_what_is_stored(liar_plan: RecoveryPlan, capsys: pytest.CaptureFixture[str]) -> None:
    RecoveryPlan.objects.create(name="Ｐａｙ", name_key="ｐａｙ", owner="x")
    RecoveryPlan.objects.create(name="Pay", name_key="pay", owner="x")
    out = StringIO()
    call_command("check", "--tag", "database", stdout=out, stderr=out)
    told = out.getvalue()
    assert f"Recovery plan {liar_plan.pk}, “Pay\\u202eroll”: Character 4 is U+202E" in told
    assert "“We\\u200bb”" in told
    assert "“Tier\\x1b1”" in told
    assert "Recovery plan “Ｐａｙ” counts as the same name today as “Pay”." in told
    assert "\u202e" not in told
    assert "\x1b1" not in told


OLD_KEYS = [("ﬁnance", "ﬁnance"), ("Ｐａｙ", "ｐａｙ"), ("Pay", "pay"), ("Plain", "plain")]
NEW_KEYS = {"ﬁnance": "finance", "Ｐａｙ": "ｐａｙ", "Pay": "pay", "Plain": "plain"}


@pytest.mark.both
def test_keys_are_made_anew_and_none_collides(db: None) -> None:
    """What the migration does, without migrating there and back."""
    for name, key in OLD_KEYS:
        RecoveryPlan.objects.create(name=name, name_key=key, owner="x")
    import_module("plans.migrations.0003_name_keys").renew(apps, SimpleNamespace(connection=connection))
    assert dict(RecoveryPlan.objects.values_list("name", "name_key")) == NEW_KEYS


@pytest.mark.both
@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_migration_makes_them_anew(request: pytest.FixtureRequest) -> None:
    executor = MigrationExecutor(connection)
    latest = executor.loader.graph.leaf_nodes()
    old = executor.migrate([("plans", "0002_targets")]).apps.get_model("plans", "RecoveryPlan")
    request.addfinalizer(lambda: MigrationExecutor(connection).migrate(latest))
    for name, key in OLD_KEYS:
        old.objects.create(name=name, name_key=key, owner="x")
    MigrationExecutor(connection).migrate(latest)
    assert dict(RecoveryPlan.objects.values_list("name", "name_key")) == NEW_KEYS


ALIKE = [
    ("Р\u0430yroll", "Payroll"), ("Payro11", "PayroII"), ("rnodem", "modem"), ("Payroll  A", "Payroll A"),
    ("\u0391\u0392", "AB"), ("Tier l", "Tier 1"), ("𝐏𝐚𝐲 day", "Ｐａy dаy"), ("paypal", "p\u0430yp\u0430l"),
]  # fmt: skip
APART = [("Tier 1", "Tier 2"), ("Payroll", "Payrolls"), ("給与計算", "給与"), ("web", "Wed"), ("Straße", "Strasse 1")]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_look_the_same_are_told_of(one: str, other: str) -> None:
    assert look_alike(one, ["Else", other]) == [other]
    assert look_alike(other, [one]) == [one]


@pytest.mark.parametrize(("one", "other"), APART)
def test_names_that_differ_to_the_eye_are_not(one: str, other: str) -> None:
    assert look_alike(one, [other]) == []


@given(st.text(max_size=64))
def test_a_skeleton_is_its_own(text: str) -> None:
    assert skeleton(skeleton(text)) == skeleton(text)


def test_a_lookalike_is_taken_and_told_of(admin: Api, client: Client, simulator: RunningSimulator) -> None:
    made = answer(admin.post("/protection-groups", group("Payroll")), 201)
    assert "warnings" not in made
    other = answer(admin.post("/protection-groups", group("P\u0430yroll", "app-01")), 201)
    said = "The name “P\u0430yroll” looks like “Payroll”. Rename one of them, so that nobody takes one for the other."
    assert other["warnings"] == [{"code": "NAME_LOOKS_ALIKE", "region": "us-east-1", "message": said}]
    plans = [{"planName": name, "waves": [wave(made["groupId"])]} for name in ("Payroll", "P\u0430yroll", "Other")]
    first, second, third = (answer(admin.post("/recovery-plans", each), 201) for each in plans)
    assert "warnings" not in first
    assert second["warnings"] == [{"code": "NAME_LOOKS_ALIKE", "message": said}]
    client.force_login(admin.user, backend="identity.auth.RoleBackend")
    for address in (f"/recovery-plans/{second['planId']}", f"/protection-groups/{other['groupId']}"):
        assert said in client.get(address).content.decode()
    path = f"/recovery-plans/{third['planId']}"
    changed = answer(admin.put(path, {**third, "planName": "Payro11"}))
    assert "“Payroll”, “P\u0430yroll”" in changed["warnings"][0]["message"]
    assert answer(admin.put(path, changed))["warnings"] == changed["warnings"]
