"""RTO and RPO of a plan: set, changed, taken away, and frozen into each run when it starts."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from plans.models import RecoveryPlan
from plans.services import update_plan
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


@pytest.fixture
def plan(stage: Stage) -> RecoveryPlan:
    return stage.plan("app-01", name="Aimed")


def targets(plan: RecoveryPlan) -> tuple[int | None, int | None]:
    plan.refresh_from_db()
    return plan.rto_minutes, plan.rpo_minutes


def test_a_plan_has_targets_if_somebody_sets_them(admin: Api, plan: RecoveryPlan) -> None:
    path = f"/recovery-plans/{plan.pk}"
    assert targets(plan) == (None, None)
    changed = answer(admin.put(path, {"RtoMinutes": 60, "rpoMinutes": 15}))
    assert (changed["rtoMinutes"], changed["rpoMinutes"]) == (60, 15)
    answer(admin.put(path, {"description": "what is left out stays"}))
    assert targets(plan) == (60, 15)
    answer(admin.put(path, answer(admin.get(path))))
    answer(admin.put(path, {"rpoMinutes": None}))
    assert targets(plan) == (60, None)


def test_a_plan_is_created_with_targets(admin: Api, plan: RecoveryPlan) -> None:
    waves = answer(admin.get(f"/recovery-plans/{plan.pk}"))["waves"]
    made = answer(admin.post("/recovery-plans", {"planName": "Two", "waves": waves, "rtoMinutes": 525_600}), 201)
    assert (made["rtoMinutes"], made["rpoMinutes"]) == (525_600, None)


@pytest.mark.parametrize("minutes", [0, -1, 525_601, 10**20, "60", 1.5, True])
def test_a_target_is_a_number_of_minutes(admin: Api, plan: RecoveryPlan, minutes: Any) -> None:
    refused = refusal(admin.put(f"/recovery-plans/{plan.pk}", {"rtoMinutes": minutes}), 400, "VALIDATION_ERROR")
    assert list(refused["fields"]) == ["rtoMinutes"]
    assert targets(plan) == (None, None)


@pytest.mark.django_db(transaction=True)
def test_a_run_is_judged_by_the_targets_of_its_start(admin: Api, stage: Stage, plan: RecoveryPlan) -> None:
    update_plan(actor=SYSTEM, plan_id=plan.pk, rto_minutes=60, rpo_minutes=15)
    run = stage.until(stage.start(plan), "COMPLETED")
    update_plan(actor=SYSTEM, plan_id=plan.pk, rto_minutes=5, rpo_minutes=None)
    kept = Execution.objects.get(pk=run.pk)
    assert (kept.rto_minutes, kept.rpo_minutes) == (60, 15)
    assert (kept.plan_copy["rtoMinutes"], kept.plan_copy["rpoMinutes"]) == (60, 15)
    shown = answer(admin.get(f"/executions/{run.pk}"))
    assert (shown["rtoMinutes"], shown["rpoMinutes"]) == (60, 15)


@pytest.fixture
def planner(client: Client, db: None) -> Client:
    user: User = make_user("planner")
    client.force_login(user)
    return client


def test_the_editor_sets_them_and_says_what_is_wrong(planner: Client, plan: RecoveryPlan) -> None:
    wave = plan.waves.get()
    form = {
        "name": plan.name, "version": "1", "wave": "0", "w-0-name": "Tier 1", "do": "save", "rto": "45", "rpo": "x",
        "w-0-group": str(wave.group_links.get().group_id), "w-0-server": wave.servers.get().source_server_id,
    }  # fmt: skip
    address = reverse("edit-plan", args=[plan.pk])
    refused = planner.post(address, form)
    assert refused.status_code == 400
    page = refused.content.decode()
    assert 'id="rpo-error"' in page
    assert 'value="x"' in page
    assert planner.post(address, form | {"rpo": ""}).status_code == 302
    assert targets(plan) == (45, None)
    assert "RTO 45 min" in planner.get(reverse("plan", args=[plan.pk])).content.decode()


def test_the_administration_sets_them(client: Client, plan: RecoveryPlan) -> None:
    client.force_login(make_user("admin"))
    address = reverse("admin:plans_recoveryplan_change", args=[plan.pk])
    shown = client.get(address).context["adminform"].form.initial
    form = {"name": plan.name, "description": "", "version": 1, "waves": shown["waves"], "drill_lease_ends": "TELL"}
    assert json.loads(shown["waves"])
    assert client.post(address, form | {"rto_minutes": "0"}).status_code == 200
    assert client.post(address, form | {"rto_minutes": "30", "rpo_minutes": ""}).status_code == 302
    assert targets(plan) == (30, None)
