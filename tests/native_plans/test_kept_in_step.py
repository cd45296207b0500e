"""Plans that say `mirrorToDrs`: engines keep what DRS has of them as they are, and remove what is wanted no more."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditEntry
from native_plans.compiled import compiled
from native_plans.models import Mirror
from plans.models import RecoveryPlan
from tests.native_plans.what_drs_has import in_drs, made_in_drs
from tests.support.api_client import Api, answer, make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def engine(stage: Stage, seconds: float = 21) -> None:
    """Let an engine look after what is due."""
    stage.advance(seconds)
    stage.look()


def change(plan: RecoveryPlan, **body: Any) -> None:
    answer(Api(make_user("admin")).put(f"/recovery-plans/{plan.pk}", body))


def differs(plan: RecoveryPlan) -> str:
    shown = answer(Api(make_user("viewer")).get(f"/recovery-plans/{plan.pk}/readiness"))
    return next((each["message"] for each in shown["reasons"] if each["code"] == "NATIVE_PLAN_DIFFERS"), "")


def test_each_saved_change_is_followed_and_the_end_as_well(stage: Stage) -> None:
    theirs = made_in_drs(stage.simulator, "Storage", stage.ids("db-primary-01"))
    plan = stage.plan("app-01 app-02", "web-01")
    engine(stage)
    assert len(in_drs(stage.simulator)) == 1, "nobody asked for it"
    change(plan, mirrorToDrs=True)
    assert differs(plan) == "It is to be kept in DRS, and was not written there yet."
    engine(stage)
    assert differs(plan) == ""
    made = next(each for each in in_drs(stage.simulator) if each["arn"] != theirs)
    assert made["tags"]["drsorch:digest"] == compiled(plan).plans[0].digest
    since = len(stage.simulator.journal())
    change(plan, rtoMinutes=60)
    engine(stage)
    assert not [each for each in stage.simulator.journal()[since:] if "RecoveryPlan" in str(each["operation"])]
    assert Mirror.objects.get().version == RecoveryPlan.objects.get().version, "it says the same in DRS"
    change(plan, planName="Renamed")
    engine(stage)
    assert {each["name"].split()[0] for each in in_drs(stage.simulator)} == {"Storage", "Renamed"}
    Mirror.objects.update(differs=["Its step 1 was changed there."])
    engine(stage)
    assert differs(plan) == ""
    change(plan, mirrorToDrs=False)
    engine(stage)
    assert [each["arn"] for each in in_drs(stage.simulator)] == [theirs]
    assert not Mirror.objects.exists()
    change(plan, mirrorToDrs=True)
    engine(stage)
    answer(Api(make_user("admin")).delete(f"/recovery-plans/{plan.pk}"))
    stage.simulator.scenario("drop_connection_before", operation=["DeleteRecoveryPlan"])
    engine(stage)
    assert len(in_drs(stage.simulator)) == 2, "AWS does not answer"
    stage.simulator.clear_scenarios()
    engine(stage, 60)
    assert [each["arn"] for each in in_drs(stage.simulator)] == [theirs]
    verbs = AuditEntry.objects.filter(verb__startswith="plan.native").order_by("pk")
    assert list(verbs.values_list("verb", "refused", "outcome"))[-2:] == [
        ("plan.native_removed", False, "DRS_UNAVAILABLE"),
        ("plan.native_removed", False, "ok"),
    ]


def test_what_aws_refuses_is_told_in_its_words_and_tried_again(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01")
    stage.simulator.scenario("access_denied", operation="CreateRecoveryPlanStep")
    change(plan, mirrorToDrs=True)
    engine(stage)
    assert "AccessDeniedException" in differs(plan)
    assert AuditEntry.objects.get(verb="plan.native").outcome == "DRS_ACCESS_DENIED"
    calls = len(stage.simulator.journal("CreateRecoveryPlanStep"))
    engine(stage)
    engine(stage)
    engine(stage)
    assert len(stage.simulator.journal("CreateRecoveryPlanStep")) == calls + 2, "later each time"
    assert AuditEntry.objects.filter(verb="plan.native").count() == 1, "the journal is told once"
    stage.simulator.clear_scenarios()
    engine(stage, 900)
    assert differs(plan) == ""
    (made,) = in_drs(stage.simulator)
    assert [each["stepOrder"] for each in made["steps"]] == [1, 2]


def test_what_an_engine_was_killed_over_the_next_look_finishes(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01")
    stage.simulator.scenario("drop_connection_after_effect", operation=["CreateRecoveryPlanStep"])
    change(plan, mirrorToDrs=True)
    engine(stage)
    stage.simulator.clear_scenarios()
    # A process that was killed has released nothing.
    Mirror.objects.update(writing_since=timezone.now() - timedelta(minutes=3), next_try_at=None)
    engine(stage)
    (made,) = in_drs(stage.simulator)
    assert [each["stepOrder"] for each in made["steps"]] == [1, 2]
    assert made["tags"]["drsorch:digest"] == compiled(plan).plans[0].digest
