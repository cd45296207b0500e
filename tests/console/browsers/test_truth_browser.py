"""What an engineer reads under stress is so: old data, a clean-up that failed, when a picture was drawn."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from contract.clock import unix
from executions.models import ServerRun, TerminationJob
from executions.states import ExecutionStatus, JobStatus, TerminationStatus
from tests.console import world
from tests.console.browsers.browser import Desk, axe
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser
TAKEN = datetime(2026, 11, 29, 23, 50, 30, tzinfo=UTC)


def test_nothing_green_stands_above_what_is_not_well(desk: Desk) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "ERP", sizes=(2, 1))
    first, *_ = servers = list(ServerRun.objects.filter(wave__execution=run).order_by("pk"))
    ServerRun.objects.filter(wave__execution=run).update(point_in_time=TAKEN)
    ServerRun.objects.filter(pk=first.pk).update(
        used_previous_snapshot=True, point_in_time=TAKEN - timedelta(seconds=30)
    )
    page = desk.sit(make_user("admin"))
    page.goto(f"/executions/{run.pk}")
    banner, problems = page.locator("#banner"), page.locator(".problems")
    expect(banner).to_contain_text(f"{first.hostname} runs on older data, see below.")
    expect(banner).to_have_attribute("data-tone", "partial")
    expect(problems).to_contain_text(f"{first.hostname} Wave 1")
    expect(problems).to_contain_text("Runs on data of 2026-11-29 23:50:00 UTC, 30 s older than the others")

    ids = [each.recovery_instance_id for each in servers]
    TerminationJob.objects.create(
        execution=run,
        account_id=world.ACCOUNT,
        region="us-east-1",
        status=JobStatus.REJECTED,
        instance_ids=ids,
        failures={ids[1]: {"code": "AccessDenied", "message": "no drs:TerminateRecoveryInstances"}},
    )
    world.change(run, termination_status=TerminationStatus.PARTIAL)
    page.reload()
    expect(banner).to_have_attribute("data-tone", "danger")
    said = f"{servers[1].hostname} ({ids[1]}) was not terminated: no drs:TerminateRecoveryInstances"
    expect(banner).to_contain_text(said)
    expect(page.locator("#cleanup-title").locator("xpath=../..")).to_contain_text(f"{servers[1].hostname} {ids[1]}")
    expect(page.locator("#live [data-tone=success]")).to_have_count(0)


def test_a_picture_says_when_it_was_drawn(desk: Desk) -> None:
    run = world.start(world.plan("ERP", sizes=(2,), pause=None))
    now = timezone.now()
    kept = {"at": unix(now), "earliest": 600, "remaining": 700, "latest": 900, "launches": 9, "runs": 3, "gates": 0}
    columns = {"forecast": kept | {"critical": []}, "rto_minutes": 30, "started_at": now - timedelta(minutes=5)}
    wave = world.launch(run.waves.all()[0], end=False)
    world.change(run, wave, status=ExecutionStatus.LAUNCHING, **columns)
    page = desk.sit(make_user("admin"))
    page.goto(f"/executions/{run.pk}")
    drawn = re.compile(r"to \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, when this was drawn")
    expect(page.locator("#timeline header")).to_contain_text(drawn)
    bar = page.locator("#rto")
    expect(bar).to_contain_text(re.compile(r"5 min( \d+ s)? so far; the last server is likely up after 15 min"))
    expect(bar).to_contain_text("the target is 30 min.")
    passed, likely, target = (
        bar.locator(each).bounding_box() for each in ("rect:nth-of-type(2)", "rect:nth-of-type(3)", "line")
    )
    assert passed is not None
    assert likely is not None
    assert target is not None
    assert passed["x"] + passed["width"] < likely["x"] < likely["x"] + likely["width"] < target["x"]
    assert not axe(page)


def test_a_question_that_opens_makes_nothing_younger(desk: Desk) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "ERP", sizes=(1,))
    page = desk.sit(make_user("admin"))
    page.clock.install()
    page.route(re.compile(r"/live\?"), lambda route: route.fulfill(status=204))  # the server's clock does not jump
    page.goto(f"/executions/{run.pk}")
    page.clock.fast_forward("10:00")
    ended = page.locator("#banner time").first
    expect(ended).to_have_text("10 minutes ago")
    page.get_by_role("link", name="Terminate 1 instance").click()
    expect(page.get_by_label("Type")).to_be_visible()
    expect(ended).to_have_text("10 minutes ago")


def test_a_wave_shows_in_which_phase_its_servers_are(desk: Desk) -> None:
    run = world.start(world.plan("ERP", sizes=(4,), pause=None))
    wave = world.launch(run.waves.all()[0], fail="no capacity", end=False)
    last = wave.servers.order_by("-position")[0]
    ServerRun.objects.filter(pk=last.pk).update(launch_status="PENDING", phase="CONVERSION", launched_at=None)
    world.change(run, wave, status=ExecutionStatus.LAUNCHING)
    page = desk.sit(make_user("viewer"))
    page.goto(f"/executions/{run.pk}")
    bar = page.get_by_role("img", name="Of 4 servers: 2 up, 1 failed, 1 converting")
    expect(bar.locator("rect")).to_have_count(3)
    assert (bar.locator("rect").first.bounding_box() or {"height": 0})["height"] >= 4
    assert not axe(page)
