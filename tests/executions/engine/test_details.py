""" "Not known" does not last: details never read are due at once, verdicts follow, and pages say how far it is."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from contract.clock import db_clock
from executions.engine.sweep import INVENTORY_CHECK
from executions.models import PlanReadiness
from executions.states import Verdict
from protection.inventory import launch_details
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

READ_EVERYWHERE = timedelta(minutes=10)  # 4,000 servers of one region


def check(stage: Stage) -> None:
    """One look at the inventory, as engines take every few seconds, and all that it starts."""
    stage.sweep.next_inventory_check = None
    stage.sweep.once()
    stage.sweep.drain()


def bulk(count: int) -> None:
    """So many servers of one group, of which only their list was read."""
    now = db_clock()
    group = ProtectionGroup.objects.create(
        name="All", name_key="all", region="us-east-1", account_id="111122223333", owner="x"
    )
    ids = [f"s-{number:017x}" for number in range(count)]
    SourceServer.objects.bulk_create(
        SourceServer(
            pk=each, account_id=group.account_id, region=group.region, name=each, replication_state="CONTINUOUS",
            lag_seconds=1, seen_at=now,
        )
        for each in ids
    )  # fmt: skip
    ServerAssignment.objects.bulk_create(
        ServerAssignment(group=group, source_server_id=each, position=at) for at, each in enumerate(ids)
    )


def test_a_new_group_s_servers_are_known_at_the_next_check(stage: Stage) -> None:
    first = stage.plan("app-01")
    RegionInventory.objects.update(tried_at=timezone.now() - timedelta(hours=1))
    check(stage)
    assert launch_details.progress().is_over
    second = stage.plan("web-01 web-02")
    RegionInventory.objects.update(tried_at=timezone.now())  # the region itself is not read again for a while
    asked = len(stage.simulator.journal("DescribeSourceServers"))
    check(stage)
    assert len(stage.simulator.journal("DescribeSourceServers")) == asked
    assert launch_details.progress().is_over
    check(stage)
    assert PlanReadiness.objects.get(plan=first).verdict != Verdict.UNKNOWN
    assert PlanReadiness.objects.get(plan=second).verdict != Verdict.UNKNOWN
    assert timedelta(seconds=10) >= 2 * INVENTORY_CHECK


def test_a_verdict_follows_what_was_read_within_two_checks(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    SourceServer.objects.update(details_as_of=None)
    stage.simulator.scenario("throttle", operation="GetLaunchConfiguration")
    check(stage)
    assert PlanReadiness.objects.get(plan=plan).verdict == Verdict.UNKNOWN
    stage.simulator.clear_scenarios()
    RegionInventory.objects.update(tried_at=timezone.now() - timedelta(hours=1))
    check(stage)
    check(stage)
    assert PlanReadiness.objects.get(plan=plan).verdict == Verdict.READY_WITH_WARNINGS  # never drilled


def test_batches_shrink_where_drs_throttles_and_grow_again(stage: Stage) -> None:
    stage.plan("app-01 app-02 app-03")
    SourceServer.objects.update(details_as_of=None)
    stage.simulator.scenario("throttle", operation="GetLaunchConfiguration")
    check(stage)
    details = stage.sweep.details
    assert details.pace["", "us-east-1"] < launch_details.SERVERS_A_ROUND
    before = len(stage.simulator.journal("GetLaunchConfiguration"))
    check(stage)  # it is left alone until the region is read again
    assert len(stage.simulator.journal("GetLaunchConfiguration")) == before
    stage.simulator.clear_scenarios()
    slow = details.pace["", "us-east-1"]
    RegionInventory.objects.update(tried_at=timezone.now() - timedelta(hours=1))
    check(stage)
    assert launch_details.progress().is_over
    assert details.pace["", "us-east-1"] > slow


def test_four_thousand_servers_are_known_in_ten_minutes_and_stay_known() -> None:
    """By what a check reads; the calls themselves are those of the tests above."""
    bulk(4_000)
    now = db_clock()
    checks = 0
    while due := launch_details.due_servers("us-east-1", "111122223333", now):
        SourceServer.objects.filter(pk__in=due).update(details_as_of=now)
        checks += 1
    assert checks * INVENTORY_CHECK <= READ_EVERYWHERE
    later, checks = now + launch_details.READ_AGAIN + timedelta(minutes=1), 0
    while due := launch_details.due_servers("us-east-1", "111122223333", later):
        SourceServer.objects.filter(pk__in=due).update(details_as_of=later)
        checks += 1
    assert launch_details.READ_AGAIN + checks * INVENTORY_CHECK < timedelta(hours=6)


def test_one_that_was_never_read_is_before_those_that_are_old() -> None:
    bulk(60)
    now = db_clock()
    SourceServer.objects.update(details_as_of=now - timedelta(hours=3))
    SourceServer.objects.filter(pk="s-0000000000000003b").update(details_as_of=None)
    due = launch_details.due_servers("us-east-1", "111122223333", now)
    assert due[0] == "s-0000000000000003b"
    assert len(due) == 1 + launch_details.READ_AGAIN_A_ROUND


def test_the_dashboard_says_how_far_it_is(client: Client) -> None:
    bulk(4_000)
    now = db_clock()
    SourceServer.objects.filter(pk__in=[f"s-{number:017x}" for number in range(225)]).update(details_as_of=now)
    client.force_login(make_user("viewer"))
    assert "Details of 225 of 4,000 servers read" in client.get("/").content.decode()
    SourceServer.objects.update(details_as_of=now)
    assert "Details of" not in client.get("/").content.decode()
