"""Gates: what is asked, who may give it, and that nothing behind one is launched before it is passed."""

from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.models import Execution, GateEntry
from executions.states import Kind
from identity.programs import service_tokens
from notify.models import Notice
from plans.gates import GateShape
from plans.models import RecoveryPlan
from plans.services import update_plan
from tests.console import world
from tests.executions.commands.test_steering import planned, sent
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

TWO = GateShape(approvals=2, checklist=["The database is consistent.", "The network team knows."], expiresMinutes=60)
ONE = GateShape(approvals=1, checklist=[], expiresMinutes=525_600)


class People:
    """Who starts, and three who approve."""

    def __init__(self) -> None:
        self.starter, self.ann, self.bob, self.eve = (Api(make_user("recovery-manager")) for _ in range(4))


@pytest.fixture
def people(db: None) -> People:
    return People()


def started(stage: Stage, people: People, plan: RecoveryPlan, kind: Kind = Kind.DRILL) -> Execution:
    body = {"planId": str(plan.pk), "executionType": kind.value}
    return Execution.objects.get(pk=answer(people.starter.post("/executions", body), 202)["executionId"])


def gate(api: Api, run: Execution) -> Any:
    return answer(api.get(f"/executions/{run.pk}/gate"))


def approve(api: Api, run: Execution, digest: str = "", **body: Any) -> Any:
    body = {"digest": digest or gate(api, run)["digest"], "checklist": [0, 1], **body}
    return api.post(f"/executions/{run.pk}/approve", body)


@pytest.mark.both
def test_a_gate_takes_approvals_of_others_each_with_the_whole_checklist(stage: Stage, people: People) -> None:
    plan = planned(stage, "app-01", "web-01", gate={1: TWO})
    run = stage.until(started(stage, people, plan), "PAUSED")
    asked = gate(people.ann, run)
    assert (asked["approvals"], asked["approvalsGiven"], asked["checklist"]) == (2, 0, TWO["checklist"])
    assert asked["expiresTime"] - asked["pausedTime"] == 3600
    assert not asked["actions"]["resume"]["allowed"]
    refusal(people.ann.post(f"/executions/{run.pk}/resume"), 409, "GATE_NEEDS_APPROVALS")
    refusal(approve(people.starter, run), 403, "APPROVER_IS_STARTER")
    refusal(approve(people.ann, run, checklist=[0]), 400, "VALIDATION_ERROR")
    refusal(approve(people.ann, run, "0" * 64), 409, "GATE_CHANGED")
    refusal(approve(Api(make_user("planner")), run), 403, "FORBIDDEN")
    for _ in range(2):  # again: nothing changes
        assert "1 more approval is needed" in answer(approve(people.ann, run, comment="Looked at it."))["message"]
    stage.look()
    assert (stage.fresh(run).status, len(stage.launches())) == ("PAUSED", 1)
    assert answer(approve(people.bob, run))["status"] == "RUNNING"
    refusal(approve(people.eve, run, asked["digest"]), 400, "EXECUTION_NOT_PAUSED")
    run = stage.until(run, "COMPLETED", "PAUSED")
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert AuditEntry.objects.filter(verb="gate.approved", refused=False).count() == 2
    assert [each.act for each in GateEntry.objects.all()] == ["APPROVED", "APPROVED"]


def test_a_resume_of_a_page_from_before_says_what_it_takes(stage: Stage, people: People, client: Client) -> None:
    plan = planned(stage, "app-01", "web-01", gate={1: ONE})
    shown = answer(people.ann.get(f"/recovery-plans/{plan.pk}"))
    shown["waves"][0]["gate"] = ONE
    planner = Api(make_user("planner"))
    refused = refusal(planner.put(f"/recovery-plans/{plan.pk}", {"waves": shown["waves"]}), 400, "VALIDATION_ERROR")
    assert list(refused["fields"]) == ["waves[0].gate"]
    run = stage.until(started(stage, people, plan), "PAUSED")
    client.force_login(people.ann.user)
    told = client.post(f"/executions/{run.pk}/resume", {"wave": "1", "attempt": "0"}, follow=True).content.decode()
    assert "The gate before wave 2 needs 1 approval of others than" in told
    assert stage.fresh(run).status == "PAUSED"


def test_no_program_passes_a_gate(stage: Stage, people: People) -> None:
    run = stage.until(started(stage, people, planned(stage, "app-01", "web-01", gate={1: ONE})), "PAUSED")
    token = service_tokens.create(actor=SYSTEM, name="nightly", role="recovery-manager", days=1).token
    bodies = {
        "approve": {"digest": gate(people.ann, run)["digest"]},
        "resume": {"breakGlass": True, "reason": "It is on a timer."},
    }
    for verb, body in bodies.items():
        asked = Client().post(
            f"/api/v1/executions/{run.pk}/{verb}",
            body,
            "application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        refusal(asked, 403, "FORBIDDEN")
    assert (stage.fresh(run).status, GateEntry.objects.count()) == ("PAUSED", 0)


def test_a_recovery_waits_at_its_start_gate_before_anything_is_sent(stage: Stage, people: People) -> None:
    plan = planned(stage, "app-01", "web-01")
    update_plan(actor=SYSTEM, plan_id=plan.pk, start_gate=ONE)
    stage.until(started(stage, people, plan), "COMPLETED")
    assert len(stage.launches()) == 2
    run = started(stage, people, plan, Kind.RECOVERY)
    shown = answer(people.ann.get(f"/executions/{run.pk}"))
    assert (shown["status"], shown["pausedBeforeWave"], shown["waves"][0]["gate"]) == ("PAUSED", 0, ONE)
    stage.look()
    assert len(stage.launches()) == 2
    operator = Api(make_user("operator"))
    refusal(approve(operator, run, checklist=[]), 403, "FORBIDDEN")
    answer(approve(people.ann, run, checklist=[]))
    assert stage.until(run, "COMPLETED", "PAUSED").status == "COMPLETED"


def test_a_decline_takes_approvals_away_and_breaking_the_glass_is_told_to_everybody(
    stage: Stage, people: People
) -> None:
    world.subscription(plan_id=stage.plan("app-02").pk, events=["LATE"])
    plan = planned(stage, "app-01", "web-01", gate={1: TWO})
    run = stage.until(started(stage, people, plan), "PAUSED")
    answer(approve(people.ann, run))
    answer(people.bob.post(f"/executions/{run.pk}/decline", {"reason": "The disk is full."}))
    shown = gate(people.ann, run)
    assert (shown["approvalsGiven"], [each["act"] for each in shown["entries"]]) == (0, ["APPROVED", "DECLINED"])
    operator = Api(make_user("operator"))
    glass = {"breakGlass": True, "reason": "Nobody else is awake."}
    refusal(operator.post(f"/executions/{run.pk}/resume", glass), 403, "FORBIDDEN")
    refusal(people.starter.post(f"/executions/{run.pk}/resume", {"breakGlass": True}), 400, "VALIDATION_ERROR")
    answer(people.starter.post(f"/executions/{run.pk}/resume", glass))
    run = stage.until(run, "COMPLETED", "PAUSED")
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert AuditEntry.objects.get(verb="gate.broken", refused=False).detail["missing"] == 2
    assert [each.event for each in Notice.objects.all()] == ["BREAK_GLASS"]
    told = people.ann.get(f"/executions/{run.pk}/report").content.decode()
    assert "Nobody else is awake." in told


def test_one_person_with_two_sign_ins_is_one_person(stage: Stage, people: People) -> None:
    run = stage.until(started(stage, people, planned(stage, "app-01", "web-01", gate={1: TWO})), "PAUSED")

    def second_sign_in(of: Api) -> Api:
        user = make_user("recovery-manager")
        user.email = of.user.email.title()
        user.save()
        return Api(user)

    refusal(approve(second_sign_in(people.starter), run), 403, "APPROVER_IS_STARTER")
    for each in (people.ann, second_sign_in(people.ann)):
        assert "1 more approval is needed" in answer(approve(each, run))["message"]
    assert (stage.fresh(run).status, GateEntry.objects.count()) == ("PAUSED", 1)


@pytest.mark.both
@pytest.mark.parametrize("how", ["exclude", "skip", "news"])
def test_approvals_lapse_when_the_run_is_not_any_more_what_was_looked_at(
    stage: Stage, people: People, how: str
) -> None:
    plan = planned(stage, "app-01", "web-01 web-02", "db-primary-01", gate={1: TWO})
    run = stage.until(started(stage, people, plan), "PAUSED")
    seen = gate(people.ann, run)["digest"]
    answer(approve(people.ann, run))
    if how == "news":
        run.waves.get(number=0).servers.update(recovery_instance_state="STOPPED")
        stage.advance(10)
        stage.look()
    elif how == "skip":
        answer(people.bob.post(f"/executions/{run.pk}/waves/2/skip", {"reason": "Not needed."}))
    else:
        answer(people.bob.post(f"/executions/{run.pk}/servers/{stage.ids('web-01')[0]}/exclude", {"reason": "Broken."}))
    shown = gate(people.ann, run)
    assert shown["digest"] != seen
    assert (shown["approvalsGiven"], [each["act"] for each in shown["entries"]]) == (0, ["APPROVED", "LAPSED"])
    assert AuditEntry.objects.get(verb="gate.lapsed").detail["approvers"] == [people.ann.user.email]
    refusal(approve(people.bob, run, seen), 409, "GATE_CHANGED")
    for each in (people.bob, people.eve):
        answer(approve(each, run))
    stage.packs.touched = how == "news"  # by hand
    assert stage.until(run, "COMPLETED", "PAUSED").status == "COMPLETED"


def test_an_approver_is_told_what_will_be_launched_and_nothing_else(
    stage: Stage, people: People, client: Client
) -> None:
    """Not what was left out, and not what needs a wave that failed."""
    plan = planned(
        stage, "app-01", "app-02 app-03", "web-01", "web-02", gate={1: ONE}, on_failure={0: "CONTINUE"},
        depends_on={1: (), 2: (0,), 3: ()},
    )  # fmt: skip
    stage.simulator.scenario("launch_failed", servers=stage.ids("app-01"))
    run = stage.until(started(stage, people, plan), "PAUSED")
    reason = {"reason": "Its disk is gone."}
    answer(people.bob.post(f"/executions/{run.pk}/servers/{stage.ids('app-02')[0]}/exclude", reason))
    client.force_login(people.ann.user)
    told = client.get(f"/executions/{run.pk}/gate/approve").content.decode()
    assert "1 server is launched." in told
    assert "Then 1 wave with 1 server, without another pause." in told
    assert "Server app-02 of wave 2 left out" in client.get(f"/executions/{run.pk}").content.decode()


@pytest.mark.parametrize("dependents", ["SKIP", "RUN"])
def test_skipping_its_wave_does_not_slip_past_a_gate(stage: Stage, people: People, dependents: str) -> None:
    """It guards everything behind it: it is asked for before the next wave that is not skipped."""
    plan = planned(
        stage, "app-01", "web-01", "web-02", gate={1: TWO}, depends_on={2: (1,) if dependents == "RUN" else ()}
    )
    run = stage.until(started(stage, people, plan), "PAUSED")
    answer(approve(people.ann, run))
    body = {"reason": "Its storage is gone.", "dependents": dependents}
    answer(people.starter.post(f"/executions/{run.pk}/waves/1/skip", body))
    run = stage.until(run, "PAUSED", "COMPLETED")
    assert stage.picture(run) == ("PAUSED", ["COMPLETED", "SKIPPED", "PAUSED"])
    refusal(people.starter.post(f"/executions/{run.pk}/resume"), 409, "GATE_NEEDS_APPROVALS")
    assert (gate(people.ann, run)["approvals"], gate(people.ann, run)["approvalsGiven"]) == (2, 0)
    for each in (people.ann, people.bob):
        answer(approve(each, run))
    run = stage.until(run, "COMPLETED", "PAUSED")
    assert (run.status, sent(stage)) == ("COMPLETED", [stage.ids("app-01"), stage.ids("web-02")])


def test_a_wait_that_is_ended_and_a_retry_of_the_run_come_to_the_gate_again(stage: Stage, people: People) -> None:
    plan = planned(stage, "app-01", "web-01", gate={1: ONE}, wait_minutes_before={1: 30})
    run = started(stage, people, plan)
    stage.wait(lambda: stage.waves(run)[1].starts_at is not None, run)
    answer(people.starter.post(f"/executions/{run.pk}/waves/1/start-now"))
    run = stage.until(run, "PAUSED")
    assert len(stage.launches()) == 1
    stage.simulator.scenario("launch_failed", servers=stage.ids("web-01"), times=1)
    answer(approve(people.ann, run, checklist=[]))
    run = stage.until(run, "PARTIAL")
    again = answer(people.ann.post(f"/executions/{run.pk}/retry"), 202)["executionId"]
    again = stage.until(Execution.objects.get(pk=again), "PAUSED", "COMPLETED")
    refusal(approve(people.ann, again, checklist=[]), 403, "APPROVER_IS_STARTER")
    answer(approve(people.starter, again, checklist=[]))
    assert stage.until(again, "COMPLETED", "PAUSED").status == "COMPLETED"


@pytest.mark.both
def test_nobody_coming_in_time_ends_the_run_and_people_are_reminded_once(stage: Stage, people: People) -> None:
    world.subscription()
    plan = planned(stage, "app-01", "web-01", gate={1: TWO})
    run = stage.until(started(stage, people, plan), "PAUSED")
    for seconds in (1500, 400, 400, 400):
        stage.advance(seconds)
        stage.look()
    told = list(Notice.objects.filter(event="PAUSED").order_by("happened_at").values_list("subject", flat=True))
    assert [("still" in each, "2 approvals" in each) for each in told] == [(False, True), (True, True)]
    stage.advance(1000)
    stage.look()
    assert stage.picture(run) == ("PARTIAL", ["COMPLETED", "SKIPPED"])
    assert stage.fresh(run).error_code == "PAUSE_EXPIRED"


def test_a_gate_without_approvals_is_resumed_with_its_checklist_ticked(stage: Stage, people: People) -> None:
    plan = planned(stage, "app-01", "web-01", gate={1: {**TWO, "approvals": 0}})
    run = stage.until(started(stage, people, plan), "PAUSED")
    assert refusal(people.starter.post(f"/executions/{run.pk}/resume"), 400, "VALIDATION_ERROR")
    answer(people.starter.post(f"/executions/{run.pk}/resume", {"checklist": [0, 1]}))
    assert stage.until(run, "COMPLETED", "PAUSED").status == "COMPLETED"
