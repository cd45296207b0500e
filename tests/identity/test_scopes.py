"""Role × scope × route: who has a role for a part may do there what the role gives, elsewhere nothing; what they do not
see is not there for them. The table of addresses is in rules.py: one without a decision fails here."""

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from audit.actor import SYSTEM
from drs_simulator.testing import RunningSimulator
from executions.models import Execution, TerminationJob
from identity.roles import ROLES
from identity.scoped.services import give
from plans.models import PlanLabel, RecoveryPlan
from protection.models import GroupLabel, ProtectionGroup
from tests.console import world
from tests.identity import rules
from tests.identity.rules import EVERYBODY, NOWHERE, OPEN, Rule
from tests.identity.scene import Scene
from tests.identity.test_rights import addresses, ask, by_scene, name_of, named, set_up, taken_back
from tests.support.api_client import make_user, sign_in

pytestmark = pytest.mark.slow

THINGS = {"plan_id", "group_id", "execution_id", "server_id"}
SCOPED = ("viewer", "planner", "operator", "recovery-manager")
PART, NOTHING, CLOSED = rules.SHOWS_A_PART, rules.SHOWS_NOTHING, rules.CLOSED
# What an address takes that creates something: it must be in the scope.
LABELED = {("api-plans", "POST"), ("api-groups", "POST")}


def parts_of(name: str) -> set[str]:
    return set(named(name).pattern.converters)


def test_every_address_names_a_thing_or_has_a_decision() -> None:
    names = {name_of(each) for each in addresses()} - OPEN - NOWHERE
    of_things = {name for name in names if parts_of(name) & THINGS}
    assert names - of_things == PART | NOTHING | CLOSED
    assert not PART & NOTHING
    assert not (PART | NOTHING) & CLOSED


def member(role: str, **scope: str) -> User:
    """Somebody who has the role for that alone."""
    group = f"{role} of {scope}"
    give(actor=SYSTEM, group=group, role=role, label=scope.get("label", ""), account_id=scope.get("account_id", ""))
    user = make_user()
    user.groups.add(Group.objects.get(name=group))
    return user


def label_everything() -> None:
    """Everything of the scene is in the account of the simulator, and has the label app=payments."""
    PlanLabel.objects.bulk_create(
        PlanLabel(plan=each, key="app", value="payments") for each in RecoveryPlan.objects.all()
    )
    groups = ProtectionGroup.objects.all()
    GroupLabel.objects.bulk_create(GroupLabel(group=each, key="app", value="payments") for each in groups)


INSIDE = {"label": {"label": "app=payments"}, "account": {"account_id": world.ACCOUNT}}
OUTSIDE = {"label": {"label": "app=ledger"}, "account": {"account_id": "999999999999"}}


def answer_to(rule: Rule, scene: Scene, user: User) -> Any:
    with taken_back():
        labels = {"labels": {"app": "payments"}} if (rule.name, rule.method) in LABELED else {}
        response = ask(rule, scene, user, **labels)
        response.counts = counted()
    return response


def counted() -> list[int]:
    return [Execution.objects.count(), TerminationJob.objects.count(), RecoveryPlan.objects.count()]


def text_of(response: Any) -> str:
    content = getattr(response, "content", b"") or b"".join(getattr(response, "streaming_content", ()))
    return f"{content.decode(errors='replace')} {response.headers.get('Location', '')}"


def both_kinds() -> Iterator[Any]:
    """Either kind of scope daily at half of the addresses."""
    for name, part in by_scene().items():
        for kind, daily in itertools.product(INSIDE, (True, False)):
            chosen = [rule for at, rule in enumerate(part) if daily == ((kind == "label") == bool(at % 2))]
            title = f"{name} by {kind}{'' if daily else ', the others'}"
            if chosen:
                yield pytest.param(chosen, kind, id=title, marks=() if daily else pytest.mark.long)


@pytest.mark.parametrize(("part", "kind"), list(both_kinds()))
def test_a_role_for_a_part_counts_there_and_nowhere_else(
    part: list[Rule], kind: str, db: None, simulator: RunningSimulator
) -> None:
    scene = set_up(part)
    label_everything()
    inside = {role: member(role, **INSIDE[kind]) for role in SCOPED}
    outside = {role: member(role, **OUTSIDE[kind]) for role in SCOPED}
    before = counted()
    for rule in part:
        _counts_inside(rule, scene, inside)
        _counts_for_nothing_outside(rule, scene, outside, before)


def _counts_inside(rule: Rule, scene: Scene, members: dict[str, User]) -> None:
    for role in SCOPED if rule.method != "GET" else ("viewer", "planner"):
        response = answer_to(rule, scene, members[role])
        told = f"{rule}, {role} inside: {response.status_code} {text_of(response)[:300]}"
        if rule.name in CLOSED or not (rule.right == EVERYBODY or rule.right in ROLES[role]):
            assert response.status_code == 403, told
        else:
            assert response.status_code < 500 or response.status_code == 503, told  # DRS knows no server of the scene
            assert response.status_code not in (401, 403, 404), told


def _counts_for_nothing_outside(rule: Rule, scene: Scene, members: dict[str, User], before: list[int]) -> None:
    strongest = next((role for role in ("planner", "recovery-manager") if rule.right in ROLES[role]), "viewer")
    response = answer_to(rule, scene, members[strongest])
    told = f"{rule}, {strongest} outside: {response.status_code} {text_of(response)[:300]}"
    assert response.counts == before, told
    if parts_of(rule.name) & THINGS:
        assert response.status_code == 404, told
    elif rule.name in CLOSED:
        assert response.status_code == 403, told
    else:
        assert response.status_code < 500, told
        told_of = [each for each in secrets(scene) if each in text_of(response)]
        assert told_of == [], f"{told}: tells of {told_of}"


def secrets(scene: Scene) -> list[str]:
    """What tells of things that somebody does not see, where they have not sent it."""
    names = [scene.run.plan_name, *ProtectionGroup.objects.values_list("name", flat=True)]
    return [*names, str(scene.run.pk)]


def test_pages_say_that_they_show_a_part_and_lead_to_nothing_closed(db: None) -> None:
    part, whole = sign_in(Client(), member("operator", label="app=payments")), sign_in(Client(), make_user("viewer"))
    for address in ("/", "/recovery-plans", f"/recovery-plans/{uuid.uuid4()}"):
        says = "You see a part of this installation: app=payments."
        assert says in text_of(part.get(address))
        assert "You see a part" not in text_of(whole.get(address))
    assert "no role of yours covers it" in text_of(part.get(address))
    assert "/recovery-plans/in-drs" in text_of(whole.get("/recovery-plans"))
    assert "/recovery-plans/in-drs" not in text_of(part.get("/recovery-plans"))
