"""The engine keeps a forecast in the run's row; API and live page show it."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from audit.actor import SYSTEM
from contract.clock import unix
from executions.commands import control
from executions.measuring.forecast import current_forecast
from executions.models import Execution
from plans.models import RecoveryPlan
from tests.console import world
from tests.support.api_client import Api, answer, make_user
from tests.support.still import StillStage


def begun(still: StillStage, plan: RecoveryPlan) -> Execution:
    """A run as it is at its first minute."""
    run = still.start(plan)
    still.look()
    return still.fresh(run)


def finish(still: StillStage, run: Execution) -> Execution:
    """Let a run end, and its instances be gone, so that the next one cleans nothing up."""
    run = still.until(run, "COMPLETED", step=15)
    still.advance(15)
    still.look()
    still.simulator.reset()
    still.simulator.scenario("steady_times")
    return run


def test_it_says_how_much_it_knows_and_foretells_once_that_is_enough(still: StillStage, admin: Api) -> None:
    """Steady servers are seen up at 525 s; two drills of three servers make six launches, one more than is needed, and
    three drills one that may say whether the RTO will hold.
    """
    plan = still.plan("app-01 app-02 app-03")
    first = begun(still, plan)
    shown = answer(admin.get(f"/executions/{first.pk}"))["forecast"]
    assert (shown["launches"], shown["launchesNeeded"], shown["expectedEndTime"]) == (0, 5, None)
    first.rto_minutes = 12
    outlooks = [current_forecast(first, first.started_at + timedelta(minutes=minutes)) for minutes in (11, 13)]
    assert [told and told.outlook for told in outlooks] == [None, "LIKELY_MISSED"]  # over is over
    finish(still, first)
    second = finish(still, begun(still, plan))
    assert [len(times) for times in Execution.objects.values_list("phase_times", flat=True)] == [3, 3]
    assert second.phase_times[0][1:] == [12.5, 0.0, 152.5, 325.0, 35.0]
    assert current_forecast(second, still.clock()) is None

    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=12)
    third = begun(still, plan)
    told = current_forecast(third, still.clock())
    assert told is not None
    assert (told.launches, told.runs, told.expected) == (6, 2, third.started_at + timedelta(seconds=525))
    assert told.outlook == "OPEN"  # 720 s, but two runs are few
    world.beat()
    shown = answer(admin.get("/executions"))["items"][0]["forecast"]
    assert shown["expectedEndTime"] == unix(third.started_at) + 525
    assert (shown["launches"], shown["runs"]) == (6, 2)
    assert shown["criticalServers"][0]["hostname"].startswith("app-0")
    finish(still, third)
    fourth = begun(still, plan)
    told = current_forecast(fourth, still.clock())
    assert told is not None
    assert (told.runs, told.outlook) == (3, "LIKELY_MET")
    still.until(fourth, "COMPLETED", step=15)
    assert answer(admin.get(f"/executions/{fourth.pk}"))["forecast"] is None
    assert answer(admin.get(f"/executions/{third.pk}"))["forecast"] is None


def test_the_end_of_a_paused_run_moves_on_and_gates_are_not_counted(still: StillStage) -> None:
    times = [["s-1", 12.5, 0.0, 152.5, 325.0, 35.0]] * 5
    run = begun(still, still.plan("app-01", "web-01", pause={1}))
    still.packs.touched = True
    Execution.objects.filter(pk=world.ended("COMPLETED").pk).update(phase_times=times)  # type: ignore[arg-type]
    still.advance(30)
    still.look()
    told = current_forecast(still.fresh(run), still.clock())
    assert told is not None
    assert told.gates == 1
    assert told.expected == run.started_at + timedelta(seconds=2 * 525)
    run = still.until(run, "PAUSED", step=15)
    still.advance(600)
    told = current_forecast(run, still.clock())
    assert told is not None
    assert (told.gates, told.expected) == (0, still.clock() + timedelta(seconds=525))
    client = Client()
    client.force_login(make_user("viewer"))
    world.beat()
    page = client.get(f"/executions/{run.pk}").content.decode()
    assert "8 min 45 s after the resume" in page  # a moment would be past before anybody resumes
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.look()
    told = current_forecast(still.fresh(run), still.clock())
    assert told is not None
    assert told.last == "web-01 in wave 2"


def test_what_is_being_cancelled_has_no_forecast_of_waves_that_do_not_run() -> None:
    kept = {
        "at": 0,
        "earliest": 60,
        "remaining": 90,
        "latest": 120,
        "launches": 9,
        "runs": 3,
        "gates": 0,
        "critical": [],
    }
    run, now = Execution(forecast=kept, started_at=timezone.now()), timezone.now()
    assert current_forecast(run, now) is not None
    run.cancel_requested_at = now
    assert current_forecast(run, now) is None


def test_a_server_that_hangs_is_seen_to_hang(still: StillStage) -> None:
    """Nothing is new at DRS, so nothing else renews the forecast: it may not promise the old end until the RTO."""
    plan = still.plan("app-01 app-02 app-03")
    for _ in range(3):
        finish(still, begun(still, plan))
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=20)
    still.simulator.scenario("slow_server", servers=["app-01"], factor=12.0)
    run = begun(still, plan)
    told = current_forecast(run, still.clock())
    assert told is not None
    assert told.outlook == "LIKELY_MET"
    seen = []
    while still.clock() < run.started_at + timedelta(minutes=21):
        still.advance(15)
        still.look()
        told = current_forecast(still.fresh(run), still.clock())
        assert told is not None
        assert told.earliest is not None
        assert told.latest is not None
        assert still.clock() <= told.earliest < told.latest
        assert told.latest - told.earliest >= timedelta(seconds=30)
        assert still.clock() - told.at <= timedelta(seconds=90)
        seen.append((int((still.clock() - run.started_at).total_seconds()), told.outlook))
    # Others have their snapshot after 165 s; it is in doubt soon after, and lost when the RTO has passed.
    assert {outlook for after, outlook in seen if after > 600} <= {"OPEN", "LIKELY_MISSED"}, seen
    assert seen[-1][1] == "LIKELY_MISSED"
    without_engine = current_forecast(still.fresh(run), still.clock() + timedelta(hours=1))
    assert without_engine is not None
    assert without_engine.outlook == "LIKELY_MISSED"
    assert without_engine.latest is not None
    assert without_engine.latest > still.clock() + timedelta(hours=1)
