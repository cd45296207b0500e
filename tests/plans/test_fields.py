"""Each declared field of a plan and of its waves is in every place where a field must be; a new one, too."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.readiness.facts import facts_of
from executions.readiness.plan_changes import changes_since
from plans.editor.draft import PlanDraft, differences
from plans.fields import PLAN, STEERING, WAVE, Field, Fields, Kind
from plans.forms import typed_of
from plans.models import RecoveryPlan
from reports.sentences import plan as rows_of_the_plan
from reports.services import report
from tests.console.test_big_drafts import sent
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


def other(field: Field) -> Any:
    """A value that is not the default."""
    match field.kind:
        case Kind.TEXT:
            return f"Another {field.title.lower()}"
        case Kind.FLAG:
            return not field.default
        case Kind.CHOICE:
            return next(value for value, _ in field.stored.choices if value != field.default)
        case Kind.MINUTES:
            return 7
        case Kind.GATE:
            return {"approvals": 2, "checklist": ["The database is consistent."], "expiresMinutes": 60}


def typed(table: Fields, prefix: str = "") -> dict[str, str]:
    """The same as somebody types them into the editor."""
    found = [typed_of(each, other(each)) for each in table]
    return {f"{prefix}{place}": str(value) for each in found for place, value in each.items()}


def others(table: Fields) -> dict[str, Any]:
    return {each.name: other(each) for each in table}


def told(shown: Any, table: Fields) -> dict[str, Any]:
    return {each.name: shown[each.name] for each in table}


@pytest.fixture
def plan(simulator: RunningSimulator, db: None) -> RecoveryPlan:
    return Stage(simulator).plan("app-01", "web-01")


@pytest.fixture
def changed(admin: Api, plan: RecoveryPlan) -> RecoveryPlan:
    """The plan with another value in each field, of its second wave as of itself."""
    first, second = answer(admin.get(f"/recovery-plans/{plan.pk}"))["waves"]
    answer(admin.put(f"/recovery-plans/{plan.pk}", {**others(PLAN), "waves": [first, {**second, **others(WAVE)}]}))
    plan.refresh_from_db()
    return plan


@pytest.fixture
def planner(client: Client, db: None) -> Client:
    client.force_login(make_user("planner"))
    return client


def test_the_api_takes_and_shows_it_and_the_journal_keeps_it(admin: Api, changed: RecoveryPlan) -> None:
    shown = answer(admin.get(f"/recovery-plans/{changed.pk}"))
    entry: Any = AuditEntry.objects.get(verb="plan.update")
    for found in (shown, entry.after):
        assert (told(found, PLAN), told(found["waves"][1], WAVE)) == (others(PLAN), others(WAVE))
    assert told(entry.before, PLAN) != others(PLAN)
    pascal = {each.name[0].upper() + each.name[1:]: other(each) for each in PLAN}
    answer(admin.put(f"/recovery-plans/{changed.pk}", pascal))
    answer(admin.put(f"/recovery-plans/{changed.pk}", shown | {"version": shown["version"] + 1}))


def test_the_editor_asks_for_it_and_says_how_it_differs(plan: RecoveryPlan, planner: Client) -> None:
    address = reverse("edit-plan", args=[plan.pk])
    page = planner.get(address).content.decode()
    wanted = typed(PLAN) | typed(WAVE, "w-1-")
    assert [place for place in wanted if f'name="{place}"' not in page] == []
    assert planner.post(address, sent(page, **wanted, do="save")).status_code == 302
    saved = RecoveryPlan.objects.get()
    assert PLAN.named(saved) == others(PLAN)
    assert WAVE.named(saved.waves.all()[1]) == others(WAVE)
    said = differences(PlanDraft(plan=saved), PlanDraft())
    assert [each.title for each in PLAN if not any(text.startswith(each.title) for text in said)] == []
    back = saved.waves.all()[1]
    assert len([*WAVE.differences(vars(back), {})]) == len(WAVE)


def test_what_is_wrong_is_told_at_its_place_and_nothing_that_was_typed_is_lost(
    plan: RecoveryPlan, planner: Client
) -> None:
    address = reverse("edit-plan", args=[plan.pk])
    form = sent(planner.get(address).content.decode(), do="save")
    form |= {each.place: "x\0" if each.kind is Kind.TEXT else "soon" for each in PLAN}
    long = {f"w-1-{each.place}": "y" * 9999 for each in WAVE if each.kind is Kind.TEXT}
    assert planner.post(address, form).status_code == 400  # null characters
    form |= long | {each.place: "x" * 9999 for each in PLAN if each.kind is Kind.TEXT}
    refused = planner.post(address, form)
    page = refused.content.decode()
    assert refused.status_code == 400
    assert [place for place in [*long, *(each.place for each in PLAN)] if f'value="{form[place]}"' not in page] == []
    refusable = [each for each in PLAN if each.kind is not Kind.FLAG]  # whatever is sent for a tick is one
    wrong = [f'href="#{each.place}"' for each in refusable] + [f'href="#{place}">Wave 2: At most' for place in long]
    assert [text for text in wrong if text not in page] == []
    right = dict.fromkeys(long, "short") | typed(PLAN)
    assert planner.post(address, form | right).status_code == 302


def test_a_value_that_cannot_be_is_refused_with_its_path(admin: Api, plan: RecoveryPlan) -> None:
    first, second = answer(admin.get(f"/recovery-plans/{plan.pk}"))["waves"]
    wrong: dict[Kind, Any] = {Kind.TEXT: "x" * 9999, Kind.FLAG: "yes", Kind.CHOICE: "MAYBE", Kind.MINUTES: "soon"}
    wrong[Kind.GATE] = {"approvals": 1, "checklist": [""]}
    for path, table in (("", PLAN), ("waves[1].", WAVE)):
        for each in table:
            field = {each.name: wrong[each.kind]}
            body = {"waves": [first, second | field]} if path else field
            refused = refusal(admin.put(f"/recovery-plans/{plan.pk}", body), 400, "VALIDATION_ERROR")
            inner = ".checklist[0]" if each.kind is Kind.GATE else ""
            assert list(refused["fields"]) == [path + each.name + inner]


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_it_and_its_report_tells_it(simulator: RunningSimulator, changed: RecoveryPlan) -> None:
    stage = Stage(simulator)
    run = stage.until(stage.start(changed, dry_run=True), "COMPLETED", "FAILED", "PARTIAL")
    found = report(run.pk, timezone.now())
    for kept in (run.plan_copy, found["plan"]):
        assert (told(kept, PLAN), told(kept["waves"][1], WAVE)) == (others(PLAN), others(WAVE))
    row = "\n".join(rows_of_the_plan(found)[1])
    assert [each.name for each in WAVE if each.words(other(each)) not in row] == []
    # A copy that is older than the fields has their defaults.
    older = [{name: each[name] for name in each if name not in others(STEERING)} for each in run.plan_copy["waves"]]
    (facts,) = facts_of([changed.pk])
    assert changes_since(run.plan_copy, facts) == []
    assert len(changes_since({"waves": older}, facts)) == len(STEERING)
    found["plan"] = {"waves": older}
    assert len(rows_of_the_plan(found)) == 2
