"""Leases of drills: what outlives one is told of or, if the plan says so, terminated after a warning: never production,
and never what another run uses."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEntry
from executions.models import Execution, ServerHold, ServerRun
from executions.states import Kind
from notify.models import Notice
from plans.models import RecoveryPlan
from protection.models import ServerAssignment
from tests.console import world
from tests.executions.commands.test_production import launched_outside, running
from tests.executions.terminating.test_outside_changes import round_of_inventory
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.both

HOUR = 3600.0


def leased(
    stage: Stage, hosts: str = "app-01 app-02", kind: Kind = Kind.DRILL, *, ends: str = "TERMINATE"
) -> Execution:
    """A run of a plan with a lease of 5 hours, over and with its instances up."""
    world.subscription(events=["LEASE"])
    plan = stage.plan(hosts)
    RecoveryPlan.objects.filter(pk=plan.pk).update(drill_lease_hours=5, drill_lease_ends=ends)
    run = stage.until(stage.start(plan, kind), "COMPLETED")
    return stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)


def verbs(run: Execution) -> list[str]:
    entries = AuditEntry.objects.filter(subject_id=str(run.pk), verb__startswith="lease", refused=False).order_by("id")
    return list(entries.values_list("verb", flat=True))


def notices() -> list[str]:
    return [str(each.text) for each in Notice.objects.filter(event="LEASE").order_by("happened_at")]


def pass_hours(stage: Stage, hours: float) -> None:
    stage.advance(hours * HOUR)
    stage.look()


def launch_statuses(run: Execution) -> dict[str, str]:
    return dict(ServerRun.objects.filter(wave__execution=run).values_list("hostname", "launch_status"))


def test_people_are_told_of_what_outlives_its_lease(stage: Stage) -> None:
    run = leased(stage, ends="TELL")
    assert run.lease_ends_at is not None
    assert run.ended_at is not None
    assert (run.lease_ends_at - run.ended_at).total_seconds() == 5 * HOUR
    pass_hours(stage, 4.8)
    assert verbs(run) == []
    pass_hours(stage, 0.5)
    pass_hours(stage, 24)
    assert verbs(run) == ["lease.over"]
    (notice,) = notices()
    assert "has 2 instances that have outlived the lease" in notice
    assert launch_statuses(run) == {"app-01": "LAUNCHED", "app-02": "LAUNCHED"}
    client = Client()
    client.force_login(make_user("operator"))
    assert "over since" in client.get(f"/executions/{run.pk}").content.decode()


def test_overdue_instances_are_marked_where_all_are_listed(stage: Stage) -> None:
    run = leased(stage, ends="TELL")
    round_of_inventory(stage)
    Execution.objects.filter(pk=run.pk).update(lease_ends_at="2026-01-01T00:00Z")
    client = Client()
    client.force_login(make_user("viewer"))
    assert "its lease is over" in client.get("/recovery-instances").content.decode()
    assert "2 have outlived their lease" in client.get("/").content.decode()
    items = answer(Api(make_user("viewer")).get("/recovery-instances"))["items"]
    assert {each["leaseEndsTime"] for each in items} == {1767225600}


def test_they_are_terminated_an_hour_after_a_warning(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    assert verbs(run) == ["lease.warned"]
    assert "whose lease ends: they are terminated soon" in notices()[0]
    pass_hours(stage, 0.5)
    assert verbs(run) == ["lease.warned"]
    pass_hours(stage, 0.6)
    assert verbs(run) == ["lease.warned", "lease.ended"]
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)
    assert running_now(stage) == []
    entry = AuditEntry.objects.get(verb="execution.terminate", outcome="ok")
    assert (entry.actor_kind, entry.detail["comment"][:16]) == ("engine", "Their lease ende")


def running_now(stage: Stage) -> list[Any]:
    return list(stage.simulator.client().describe_recovery_instances(filters={})["items"])


def test_a_warning_comes_an_hour_before_however_late_an_engine_looks(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 48)
    assert verbs(run) == ["lease.warned"]
    pass_hours(stage, 0.9)
    assert verbs(run) == ["lease.warned"]
    pass_hours(stage, 0.2)
    assert verbs(run) == ["lease.warned", "lease.ended"]


def test_production_and_what_another_run_holds_stay(stage: Stage) -> None:
    run = leased(stage, "app-01 app-02 app-03")
    pass_hours(stage, 4.2)
    launched_outside(stage, "app-01")  # a recovery replaced the drill's instance
    (production,) = running(stage, "app-01")
    server = ServerAssignment.objects.get(source_server_id=stage.ids("app-02")[0])
    other = world.start(world.plan())
    Execution.objects.filter(pk=other.pk).update(next_step_at=stage.clock() + timedelta(days=1))
    ServerHold.objects.create(assignment=server, execution=other, wave_number=0)
    pass_hours(stage, 1)
    (entry,) = AuditEntry.objects.filter(verb="lease.ended")
    third = ServerRun.objects.get(wave__execution=run, hostname="app-03").recovery_instance_id
    assert (entry.detail["instances"], len(entry.detail["leftAlone"])) == ([third], 2)
    assert "2 instances left alone" in notices()[-1]
    stage.packs.touched = True
    stage.advance(HOUR)
    stage.look()
    assert running(stage, "app-01") == [production]
    assert {each["sourceServerID"] for each in running_now(stage)} == set(stage.ids("app-01 app-02"))


def test_nothing_is_ended_while_drs_does_not_say_what_it_is(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    pass_hours(stage, 2)
    assert verbs(run) == ["lease.warned"]
    stage.simulator.clear_scenarios()
    stage.simulator.scenario("no_is_drill")
    pass_hours(stage, 0.1)
    assert AuditEntry.objects.get(verb="lease.ended").detail["instances"] == []
    assert len(running_now(stage)) == 2


def test_a_recovery_has_no_lease(stage: Stage) -> None:
    run = leased(stage, kind=Kind.RECOVERY)
    assert run.lease_ends_at is None
    pass_hours(stage, 48)
    assert verbs(run) == []
    told = Api(make_user("operator")).post(f"/executions/{run.pk}/lease", {"hours": 1, "comment": "x"})
    refusal(told, 400, "LEASE_NOT_EXTENDABLE")


def test_a_person_extends_it_with_a_comment(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.5)
    operator, path = Api(make_user("operator")), f"/executions/{run.pk}/lease"
    refusal(operator.post(path, {"hours": 48}), 400, "VALIDATION_ERROR")
    refusal(Api(make_user("viewer")).post(path, {"hours": 48, "comment": "More tests"}), 403, "FORBIDDEN")
    answer(operator.post(path, {"hours": 480, "comment": "More tests"}))
    run.refresh_from_db()
    assert (run.lease_warned_at, run.lease_over_at) == (None, None)
    shown = answer(operator.get(f"/executions/{run.pk}"))
    assert (shown["drillLeaseHours"], shown["drillLeaseEnds"]) == (5, "TERMINATE")
    entry = AuditEntry.objects.get(verb="lease.extend", outcome="ok")
    assert (entry.detail["comment"], entry.after) == ("More tests", {"leaseEndsTime": shown["leaseEndsTime"]})
    pass_hours(stage, 24)
    assert verbs(run) == ["lease.warned", "lease.extend"]
    client = Client()
    client.force_login(make_user("operator"))
    assert "Hours from now" in client.get(f"{path}").content.decode()
    refused = client.post(path, {"hours": "0", "comment": ""})
    assert "Whole hours from 1 to 8,760. Say why, for the journal." in refused.content.decode()
    done = client.post(path, {"hours": "600", "comment": "Once more"}, follow=True)
    assert "The lease ends 600 hours from now." in done.content.decode()
    assert verbs(run)[-1] == "lease.extend"
