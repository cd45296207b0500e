"""Who may do what: the table of the contract, verb by verb, over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import override_settings

from audit.actor import SYSTEM
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.commands import control as runs
from executions.models import Execution
from executions.states import Kind
from identity.roles import ROLES
from tests.support.api_client import Api, answer, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

IDS = demo_server_ids()
EVERYBODY = set(ROLES)
PLANNERS = {"planner", "admin"}
OPERATORS = {"operator", "recovery-manager", "admin"}
MANAGERS = {"recovery-manager", "admin"}

Verb = Callable[[Api, dict[str, Any]], Any]


@pytest.fixture
def world(simulator: RunningSimulator, db: None) -> dict[str, Any]:
    stage = Stage(simulator)
    plan, spare = stage.plan("web-01"), stage.plan("db-primary-01")
    drill = stage.start(plan)
    recovery = stage.start(stage.plan("app-01"), Kind.RECOVERY)
    for run in (drill, recovery):
        runs.cancel(actor=SYSTEM, execution_id=run.pk)
    active = stage.start(stage.plan("web-02"))
    return {
        "group": stage.group("app-03").pk,
        "plan": spare.pk,
        "planned": spare.waves.get().groups.get().pk,
        "drill": drill.pk,
        "recovery": recovery.pk,
        "active": active.pk,
    }


VERBS: list[tuple[str, Verb, set[str]]] = [
    ("read groups", lambda api, w: api.get("/protection-groups"), EVERYBODY),
    ("read a group", lambda api, w: api.get(f"/protection-groups/{w['group']}"), EVERYBODY),
    ("read plans", lambda api, w: api.get("/recovery-plans"), EVERYBODY),
    ("read a plan", lambda api, w: api.get(f"/recovery-plans/{w['plan']}"), EVERYBODY),
    ("read runs", lambda api, w: api.get("/executions"), EVERYBODY),
    ("read a run", lambda api, w: api.get(f"/executions/{w['drill']}"), EVERYBODY),
    ("read logs", lambda api, w: api.get(f"/executions/{w['drill']}/job-logs"), EVERYBODY),
    ("discover", lambda api, w: api.get("/drs/source-servers?region=us-east-1"), EVERYBODY),
    (
        "create a group",
        lambda api, w: api.post(
            "/protection-groups", {"groupName": "N", "region": "us-east-1", "sourceServerIds": [IDS["sso-01"]]}
        ),
        PLANNERS,
    ),
    ("change a group", lambda api, w: api.put(f"/protection-groups/{w['group']}", {"description": "x"}), PLANNERS),
    ("delete a group", lambda api, w: api.delete(f"/protection-groups/{w['group']}"), PLANNERS),
    (
        "create a plan",
        lambda api, w: api.post(
            "/recovery-plans",
            {
                "planName": "N",
                "waves": [{"protectionGroupIds": [str(w["planned"])], "serverIds": [IDS["db-primary-01"]]}],
            },
        ),
        PLANNERS,
    ),
    ("change a plan", lambda api, w: api.put(f"/recovery-plans/{w['plan']}", {"description": "x"}), PLANNERS),
    ("delete a plan", lambda api, w: api.delete(f"/recovery-plans/{w['plan']}"), PLANNERS),
    (
        "start a drill",
        lambda api, w: api.post(f"/recovery-plans/{w['plan']}/execute", {"executionType": "DRILL"}),
        OPERATORS,
    ),
    (
        "start a recovery",
        lambda api, w: api.post("/executions", {"planId": str(w["plan"]), "executionType": "RECOVERY"}),
        MANAGERS,
    ),
    ("cancel", lambda api, w: api.post(f"/executions/{w['active']}/cancel"), OPERATORS),
    ("cancel by DELETE", lambda api, w: api.delete(f"/executions/{w['active']}"), OPERATORS),
    ("terminate a drill", lambda api, w: api.post(f"/executions/{w['drill']}/terminate-instances"), OPERATORS),
    ("terminate a recovery", lambda api, w: api.post(f"/executions/{w['recovery']}/terminate-instances"), MANAGERS),
    ("bulk delete", lambda api, w: api.delete("/executions"), {"admin"}),
]


@pytest.mark.parametrize(("verb", "may"), [each[1:] for each in VERBS], ids=[each[0] for each in VERBS])
def test_it_asks_for_the_right(sign_in: Callable[..., Api], world: dict[str, Any], verb: Verb, may: set[str]) -> None:
    for role in ROLES:
        with transaction.atomic():
            response = verb(sign_in(role), world)
            transaction.set_rollback(True)
        if role in may:
            assert response.status_code in (200, 201, 202), f"{role}: {response.content}"
        else:
            refusal(response, 403, "FORBIDDEN")


@contextmanager
def default_role(role: str) -> Iterator[None]:
    with override_settings(DEFAULT_ROLE=role):
        yield


def test_who_has_no_role_has_the_default_one(sign_in: Callable[..., Api], world: dict[str, Any]) -> None:
    path, change = f"/protection-groups/{world['group']}", {"description": "x"}
    refusal(sign_in().put(path, change), 403, "FORBIDDEN")
    with default_role("planner"):
        answer(sign_in().put(path, change))
        refusal(sign_in("viewer").put(path, change), 403, "FORBIDDEN")
    assert answer(sign_in().get(path))["description"] == "x"


def test_roles_are_groups_that_an_administrator_can_see(sign_in: Callable[..., Api]) -> None:
    sign_in("admin")
    held = {group.name: group.permissions.count() for group in Group.objects.all()}
    assert held == {role: len(rights) for role, rights in ROLES.items()}


def test_a_run_tells_what_its_reader_may_do(sign_in: Callable[..., Api], world: dict[str, Any]) -> None:
    Execution.objects.filter(pk=world["active"]).update(pause_requested_at=None)

    def actions(role: str) -> dict[str, Any]:
        found: dict[str, Any] = answer(sign_in(role).get(f"/executions/{world['active']}"))["actions"]
        return found

    assert actions("operator")["cancel"] == {"allowed": True, "reason": ""}
    told = "You may not cancel runs. Ask an administrator for the right."
    assert actions("viewer")["cancel"] == {"allowed": False, "reason": told}
    assert actions("admin")["resume"] == {"allowed": False, "reason": "The run is not paused."}
