"""Trying again: only what did not come up, once, and with what stands counted as done."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import BadRequest, Conflict, DomainError
from executions.commands import control
from executions.commands.retry import Choice, retry
from executions.measuring.rta_rpa import attempts_before, measure, rows_of
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from executions.states import Kind
from plans.fields import WaveSpec
from plans.services import delete_plan, update_plan
from protection.models import ProtectionGroup, ServerAssignment
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


def partial(stage: Stage, *tiers: str, kind: Kind = Kind.DRILL, fail: str = "app-02", **options: Any) -> Execution:
    """A run in which one server failed to launch, and of which DRS has no more news."""
    stage.simulator.scenario("launch_failed", servers=[fail], raw_error="InsufficientInstanceCapacity", times=1)
    return failed(stage, stage.start(stage.plan(*(tiers or ("app-01 app-02", "web-01")), **options), kind))


def failed(stage: Stage, run: Execution) -> Execution:
    stage.until(run, "PARTIAL", "FAILED")
    open_jobs = LaunchJob.objects.filter(wave__execution=run, status__in=["PENDING", "STARTED"])
    return stage.wait(lambda: not open_jobs.exists(), run)


def again(stage: Stage, run: Execution) -> Execution:
    return retry(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def refused(stage: Stage, run: Execution) -> str:
    with pytest.raises(BadRequest) as told:
        again(stage, run)
    assert told.value.code == "EXECUTION_NOT_RETRYABLE"
    return told.value.message


def servers(run: Execution) -> dict[int, list[str]]:
    rows = ServerRun.objects.filter(wave__execution=run).order_by("wave__number", "position")
    found: dict[int, list[str]] = {}
    for row in rows.values_list("wave__number", "hostname"):
        found.setdefault(row[0], []).append(row[1])
    return found


def test_it_launches_the_failed_server_and_the_waves_that_were_not_run(stage: Stage) -> None:
    first = partial(stage, "db-primary-01", "app-01 app-02", "web-01", depends_on={1: (0,), 2: (0, 1)})
    assert stage.picture(first) == ("PARTIAL", ["COMPLETED", "FAILED", "SKIPPED"])
    before = len(stage.launches())
    second = again(stage, first)
    assert servers(second) == {1: ["app-02"], 2: ["web-01"]}
    assert stage.picture(second)[1] == ["COMPLETED", "PENDING", "PENDING"]  # what stands may be depended on
    assert (second.attempt, second.retry_of_id, second.first_attempt_id) == (2, first.pk, first.pk)
    assert ServerHold.objects.count() == 2
    stage.until(second, "COMPLETED")
    sent = [call["params"]["sourceServers"] for call in stage.launches()[before:]]
    wanted = [[{"sourceServerID": each}] for each in stage.ids("app-02 web-01")]
    assert sent == wanted
    entry = AuditEntry.objects.get(verb="execution.retry", outcome="ok")
    assert (entry.subject_id, entry.detail["attempt"], entry.detail["retryOf"]) == (str(second.pk), 2, str(first.pk))


def test_it_can_be_tried_until_it_works_each_attempt_from_the_last(stage: Stage) -> None:
    first = partial(stage)
    stage.simulator.scenario("launch_failed", servers=["app-02"], raw_error="Still none", times=1)
    second = failed(stage, again(stage, first))
    assert "attempt 2 (failed)" in refused(stage, first)
    third = stage.until(again(stage, second), "COMPLETED")
    assert (third.attempt, third.first_attempt_id) == (3, first.pk)
    assert servers(third) == {0: ["app-02"], 1: ["web-01"]}
    assert "completed" in refused(stage, third)


def test_gates_that_were_passed_are_not_waited_at_again_and_later_ones_are(stage: Stage) -> None:
    plan = stage.plan("db-primary-01", "app-01 app-02", "web-01", pause={1, 2})
    stage.simulator.scenario("launch_failed", servers=["app-02"], raw_error="No", times=1)
    run = stage.until(stage.start(plan), "PAUSED")
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    first = failed(stage, run)
    second = stage.until(again(stage, first), "PAUSED")
    assert stage.picture(second)[1] == ["COMPLETED", "COMPLETED", "PAUSED"]


@pytest.mark.field("B4")
def test_a_gate_whose_pause_expired_is_waited_at_again(stage: Stage) -> None:
    """Nobody has looked at it: a launch behind it still needs a person."""
    plan = stage.plan("db-primary-01", "app-01", "web-01", pause={1, 2})
    first = stage.until(stage.start(plan), "PAUSED")
    stage.offset += timedelta(seconds=31_536_001)
    first = failed(stage, first)
    assert (first.error_code, stage.picture(first)[1]) == ("PAUSE_EXPIRED", ["COMPLETED", "SKIPPED", "SKIPPED"])
    before = len(stage.launches())
    second = stage.until(again(stage, first), "PAUSED")
    assert stage.picture(second)[1] == ["COMPLETED", "PAUSED", "PENDING"]
    assert len(stage.launches()) == before
    assert [each.pause_before for each in stage.waves(second)] == [False, True, True]


def test_of_two_retries_at_once_one_wins(stage: Stage) -> None:
    first = partial(stage)
    start, outcomes = threading.Barrier(4), list[object]()

    def attempt() -> None:
        start.wait()
        try:
            outcomes.append(again(stage, first).pk)
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    won = [each for each in outcomes if not isinstance(each, str)]
    assert len(outcomes) == 4
    assert len(won) == 1, outcomes
    assert {each for each in outcomes if isinstance(each, str)} <= {"PLAN_ALREADY_EXECUTING", "EXECUTION_NOT_RETRYABLE"}
    assert Execution.objects.filter(retry_of=first).count() == 1


def test_it_refuses_what_would_not_be_sound(stage: Stage) -> None:
    going = stage.start(stage.plan("erp-db-01", region="us-west-2"))
    assert "only a failed or partial run" in refused(stage, going).lower()
    first = partial(stage)
    stage.wait(lambda: stage.fresh(first).next_step_at is None, first)
    control.terminate(actor=SYSTEM, execution_id=first.pk, clock=stage.clock)
    assert "terminated" in refused(stage, first)


def test_what_a_retry_counts_on_is_not_terminated_under_it(stage: Stage) -> None:
    first = partial(stage, "db-primary-01", "app-01 app-02")
    second = again(stage, first)
    with pytest.raises(BadRequest) as told:
        control.terminate(actor=SYSTEM, execution_id=first.pk, clock=stage.clock)
    assert told.value.code == "EXECUTION_STILL_RUNNING"
    assert stage.simulator.journal("TerminateRecoveryInstances") == []
    stage.until(second, "COMPLETED")
    control.terminate(actor=SYSTEM, execution_id=first.pk, clock=stage.clock)
    assert stage.fresh(first).termination_status == "IN_PROGRESS"


def test_it_waits_for_drs_to_end_a_launch_that_may_yet_come_up(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-02"], factor=20.0)
    run = stage.until(stage.start(stage.plan("app-01 app-02")), "PARTIAL", step=60)
    assert run.error_code == "WAVE_TIMEOUT"
    assert "DRS is still working" in refused(stage, run)
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run, step=300, limit=36_000)
    left = again(stage, run)  # it came up late: nothing is launched twice
    assert stage.until(left, "COMPLETED").attempt == 2
    assert servers(left) == {}
    assert len(stage.launches()) == 1


def test_it_runs_what_was_frozen(stage: Stage) -> None:
    first = partial(stage)
    plan = first.plan
    assert plan is not None
    update_plan(actor=SYSTEM, plan_id=plan.pk, rto_minutes=9, description="changed since")
    second = stage.until(again(stage, first), "COMPLETED")
    assert (second.rto_minutes, second.plan_copy) == (None, first.plan_copy)


def test_a_server_that_another_run_holds_is_a_conflict_and_a_lost_plan_the_end(stage: Stage) -> None:
    first = partial(stage)
    plan = first.plan
    assert plan is not None
    busy = stage.start(plan)
    with pytest.raises(Conflict) as told:
        again(stage, first)
    assert told.value.code == "PLAN_ALREADY_EXECUTING"
    control.cancel(actor=SYSTEM, execution_id=busy.pk, clock=stage.clock)
    stage.until(busy, "CANCELLED")
    delete_plan(actor=SYSTEM, plan_id=plan.pk)
    assert "plan was deleted" in refused(stage, stage.fresh(first))


def test_a_server_that_left_its_group_is_not_launched_unheld(stage: Stage) -> None:
    first = partial(stage)
    assert first.plan
    first.plan.servers.filter(assignment__source_server_id__in=stage.ids("web-01")).delete()
    ServerAssignment.objects.filter(source_server_id__in=stage.ids("web-01")).delete()
    assert "no longer in a protection group" in refused(stage, first)


def test_groups_that_only_a_retry_uses_stay_as_they_are(stage: Stage) -> None:
    """The plan was changed between the attempts: it names the group no more, the retry launches its servers."""
    first = partial(stage, "app-01 app-02 app-03")
    assert first.plan
    left = ProtectionGroup.objects.get(assignments__source_server_id__in=stage.ids("app-02"))
    other = stage.group("web-01")
    update_plan(
        actor=SYSTEM,
        plan_id=first.plan.pk,
        waves=[WaveSpec("Web", group_ids=[other.pk], server_ids=stage.ids("web-01"))],
    )
    second = again(stage, first)
    admin, path = Api(make_user("admin")), f"/protection-groups/{left.pk}"
    held = [{"executionId": str(second.pk), "planId": str(first.plan.pk), "planName": first.plan_name}]
    for refused_change in (
        admin.put(path, {"description": "changed"}),
        admin.put(path, {"sourceServerIds": stage.ids("app-01 app-03")}),
        admin.delete(path),
    ):
        found = refusal(refused_change, 409, "PG_IN_ACTIVE_EXECUTION")["executions"]
        assert found == [each | {"status": second.status} for each in held]
    control.cancel(actor=SYSTEM, execution_id=second.pk, clock=stage.clock)
    stage.until(second, "CANCELLED")
    answer(admin.delete(path))


def test_the_api_retries_with_the_rights_and_the_idempotency_of_a_start(stage: Stage) -> None:
    first = partial(stage, kind=Kind.RECOVERY)
    operator, manager = Api(make_user("operator")), Api(make_user("recovery-manager"))
    path = f"/executions/{first.pk}/retry"
    refusal(operator.post(path), 403, "FORBIDDEN")
    assert answer(operator.get(f"/executions/{first.pk}"))["actions"]["retry"]["allowed"] is False
    made = answer(manager.post(path, {"comment": "Capacity is back"}, Idempotency_Key="k1"), 202)
    told_again = manager.post(path, {"comment": "Capacity is back"}, Idempotency_Key="k1")
    assert answer(told_again, 202) == made
    assert told_again["Idempotent-Replay"] == "true"
    refusal(manager.post(path, {"comment": "Other"}, Idempotency_Key="k1"), 422, "IDEMPOTENCY_KEY_REUSED")
    refusal(manager.post(path), 409, "PLAN_ALREADY_EXECUTING")
    shown = answer(manager.get(f"/executions/{made['executionId']}"))
    assert (shown["attempt"], shown["retryOf"], shown["executionType"]) == (2, str(first.pk), "RECOVERY")
    assert [(each["attempt"], each["status"]) for each in shown["attempts"]] == [(1, "PARTIAL"), (2, shown["status"])]
    assert AuditEntry.objects.get(verb="execution.retry", refused=False).detail["comment"] == "Capacity is back"
    assert AuditEntry.objects.filter(verb="execution.retry", refused=True).count() == 3
    refusal(manager.post("/executions/0b0e7a52-0000-4000-8000-000000000000/retry"), 404, "NOT_FOUND")


def test_it_leaves_servers_out_and_is_never_complete(stage: Stage) -> None:
    """Of two that failed in wave 1 and a wave that was not run: one is left out, then launched by a later attempt."""
    stage.simulator.scenario("launch_failed", servers=["app-01", "app-02"], times=2)
    run = failed(stage, stage.start(stage.plan("app-01 app-02 app-03", "web-01", depends_on={1: [0]})))
    (out,) = stage.ids("app-02")
    second = retry(actor=SYSTEM, execution_id=run.pk, choice=Choice(exclude=[out]), clock=stage.clock)
    assert servers(second) == {0: ["app-01"], 1: ["web-01"]}
    second = stage.until(second, "COMPLETED", "PARTIAL", "FAILED")
    assert (second.status, [each.status for each in stage.waves(second)]) == ("PARTIAL", ["COMPLETED", "COMPLETED"])
    assert second.left_out == [{"waveNumber": 0, "sourceServerId": out, "hostname": "app-02"}]
    entry = AuditEntry.objects.get(verb="execution.retry", outcome="ok")
    assert entry.detail["leftOut"] == [out]
    second = failed(stage, second)
    assert not measure(second, rows_of(second), attempts_before(second)).complete
    third = again(stage, second)
    assert servers(third) == {0: ["app-02"]}
    assert stage.until(third, "COMPLETED").left_out == []


def test_a_wave_all_of_which_is_left_out(stage: Stage) -> None:
    """It stands where a server of it is up; else it is skipped, and so is what depends on it."""
    run = partial(stage, "app-01 app-02", "web-01", "web-02", depends_on={2: [1]}, on_failure={0: "STOP"})
    app, web = stage.ids("app-02 web-01")
    made = retry(actor=SYSTEM, execution_id=run.pk, choice=Choice(exclude=[app]), clock=stage.clock)
    assert stage.waves(made)[0].status == "COMPLETED"
    assert stage.waves(made)[0].status_message.startswith("Left out of this attempt: app-02.")
    control.cancel(actor=SYSTEM, execution_id=made.pk, clock=stage.clock)
    Execution.objects.filter(pk=made.pk).delete()
    made = retry(actor=SYSTEM, execution_id=run.pk, choice=Choice(only=[app, *stage.ids("web-02")]), clock=stage.clock)
    made = stage.until(made, "PARTIAL")
    assert [each.status for each in stage.waves(made)] == ["COMPLETED", "SKIPPED", "SKIPPED"]
    assert [each["sourceServerId"] for each in made.left_out or ()] == [web]


def test_a_choice_that_makes_no_sense_names_its_field(stage: Stage, admin: Api) -> None:
    run = partial(stage)
    path, up, (app, web) = f"/executions/{run.pk}/retry", stage.ids("app-01")[0], stage.ids("app-02 web-01")
    for body, field in (
        ({"excludeServerIds": ["s-00000000000000000"]}, "excludeServerIds"),
        ({"excludeServerIds": [up]}, "excludeServerIds"),
        ({"excludeServerIds": [app, web]}, "excludeServerIds"),
        ({"serverIds": [up]}, "serverIds"),
        ({"serverIds": []}, "serverIds"),
        ({"serverIds": [app], "excludeServerIds": [web]}, "excludeServerIds"),
    ):
        assert list(refusal(admin.post(path, body), 400, "VALIDATION_ERROR")["fields"]) == [field]
    assert Execution.objects.count() == 1
    told = answer(admin.post(path, {"serverIds": [app]}), 202)
    shown = answer(admin.get(f"/executions/{told['executionId']}"))
    assert [each["sourceServerId"] for each in shown["leftOut"]] == [web]
