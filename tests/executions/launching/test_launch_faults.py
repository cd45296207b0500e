"""AWS misbehaves around a launch: every wave is launched exactly once all the same."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import Mock

import pytest
from botocore.config import Config
from django.test import override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs import client
from drs.client import Drs
from drs.errors import BY_CODE, DrsError
from executions.commands import control
from executions.launching import launch
from executions.models import Execution, LaunchJob, Place, WaveRun
from executions.runs.aws_calls import AwsCalls
from tests.support.stage import Stage


def message(run: Execution) -> str:
    return WaveRun.objects.get(execution=run, number=0).status_message


LOST_ANSWERS = {
    "500 after the effect": ("internal_error_after_effect", {}),
    "connection closed after the effect": ("drop_connection_after_effect", {}),
    "half an answer": ("broken_json", {}),
    "lands after the client gave up": ("late_landing", {"seconds": 20}),
    "lands late in the quarantine": ("late_landing", {"seconds": 290}),
}


@pytest.mark.parametrize(
    ("fault", "visible_after"), [*((each, 0) for each in LOST_ANSWERS), (next(iter(LOST_ANSWERS)), 45)]
)
def test_it_adopts_a_launch_whose_answer_was_lost(stage: Stage, fault: str, visible_after: int) -> None:
    name, options = LOST_ANSWERS[fault]
    stage.simulator.scenario(name, operation="StartRecovery", times=1, **options)
    if visible_after:
        stage.simulator.scenario("visibility_delay", seconds=visible_after, times=1)
    run = stage.start(stage.plan("app-01", "web-01"))
    stage.look()
    assert stage.picture(run)[1] == ["INITIATED", "PENDING"] or visible_after == 0
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 2
    assert len(stage.simulator.journal("StartRecovery")) == 2
    assert set(LaunchJob.objects.values_list("attempt", flat=True)) == {1}
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()


@pytest.fixture
def hasty_launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The launcher's 20 s of patience cut to 1 s, in a client of its own."""
    quick = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1, "mode": "standard"})
    monkeypatch.setitem(client._CONFIGS, "launcher", quick)
    client._build.cache_clear()
    yield
    client._build.cache_clear()


@pytest.mark.field("A28")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.field("A28")
def test_it_adopts_a_launch_that_was_answered_too_late(stage: Stage, hasty_launcher: None, when: str) -> None:
    stage.simulator.scenario("hang", operation="StartRecovery", seconds=1.5, when=when, times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert "ReadTimeoutError" in message(run) or stage.launches()
    threading.Event().wait(0.7)
    stage.until(run, "COMPLETED")
    assert len(stage.simulator.journal("StartRecovery")) == 1


@pytest.mark.parametrize("fault", ["internal_error_before", "drop_connection_before"])
def test_it_sends_again_only_after_the_quarantine(stage: Stage, fault: str) -> None:
    stage.simulator.scenario(fault, operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert "checking AWS for it" in message(run)
    for _ in range(43):
        stage.advance(15)
        stage.look()
    assert len(stage.simulator.journal("StartRecovery")) == 1
    assert stage.fresh(run).status == "RUNNING"
    stage.advance(30)
    stage.look()
    assert len(stage.simulator.journal("StartRecovery")) == 2
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1
    assert AuditEntry.objects.filter(verb="launch.cleared").count() == 1


def test_it_sends_nothing_while_aws_does_not_say_whether_a_launch_arrived(stage: Stage) -> None:
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    run = stage.start(stage.plan("app-01"))
    for _ in range(20):
        stage.advance(120)
        stage.look(1)
    assert len(stage.simulator.journal("StartRecovery")) == 1
    assert "does not say whether it received the launch" in message(run)
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_it_recognises_its_own_job_behind_a_conflict(stage: Stage) -> None:
    """The quarantine is over, the job still invisible: DRS's own refusal keeps it from being doubled."""
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("visibility_delay", seconds=100, times=1)
    stage.simulator.scenario("slow_server", factor=10)
    with override_settings(LAUNCH_QUARANTINE_SECONDS=30):
        run = stage.start(stage.plan("app-01"))
        stage.look()
        stage.advance(31)
        stage.look()
        assert len(stage.simulator.journal("StartRecovery")) == 2
        assert AuditEntry.objects.filter(verb="launch.refused", outcome="ConflictException").exists()
        stage.until(run, "LAUNCHING")
    assert len(stage.launches()) == 1
    assert LaunchJob.objects.get().job_id == stage.launches()[0]["job_id"]


REFUSALS = {
    "throttle": "is throttling launches",
    "expired_token": "credentials are not accepted",
    "quota_exceeded": "quota in us-east-1 is used up",
    "conflict": "is working on s-",
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_it_tries_again_after_a_refusal_and_says_why_it_waits(stage: Stage, fault: str) -> None:
    stage.simulator.scenario(fault, operation="StartRecovery", times=3)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert REFUSALS[fault] in message(run)
    stage.until(run, "COMPLETED")
    assert message(run) == ""
    assert len(stage.launches()) == 1
    assert len(stage.simulator.journal("StartRecovery")) == 4
    assert AuditEntry.objects.filter(verb="launch.refused").count() == 3


GIVES_UP = {
    "quota_exceeded": "DRS_QUOTA_EXCEEDED",
    "conflict": "LAUNCH_REJECTED",
    "expired_token": "LAUNCH_REJECTED",
}


@pytest.mark.parametrize("fault", GIVES_UP)
def test_it_gives_up_after_half_an_hour_of_refusals(stage: Stage, fault: str) -> None:
    stage.simulator.scenario(fault, operation="StartRecovery")
    began = stage.clock()
    run = stage.until(stage.start(stage.plan("app-01", "web-01")), "FAILED", step=60)
    assert 1800 <= (stage.clock() - began).total_seconds() < 2600
    assert stage.picture(run) == ("FAILED", ["FAILED", "SKIPPED"])
    assert run.error_code == GIVES_UP[fault]
    assert "Waiting" not in run.error_message, "it waits no longer"


def test_it_waits_out_any_length_of_throttling(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.simulator.scenario("throttle")
    for _ in range(30):
        stage.advance(300)
        stage.look(1)
    assert stage.fresh(run).status == "RUNNING"
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


@pytest.mark.parametrize("trouble", ["conflict", "internal_error_before", "expired_token"])
def test_throttling_does_not_count_towards_giving_up(stage: Stage, trouble: str) -> None:
    stage.simulator.scenario("throttle", operation="StartRecovery")
    run = stage.start(stage.plan("app-01"))
    for _ in range(8):
        stage.look()
        stage.advance(400)
    stage.simulator.clear_scenarios()
    stage.simulator.scenario(trouble, operation="StartRecovery", times=1)
    stage.look()
    assert stage.fresh(run).status == "RUNNING"
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_time_without_an_engine_does_not_count_towards_giving_up(stage: Stage) -> None:
    stage.simulator.scenario("conflict", operation="StartRecovery")
    run = stage.start(stage.plan("app-01"))
    for _ in range(3):
        stage.look()
        stage.advance(7200)  # nobody looks
    stage.look()
    assert stage.fresh(run).status == "RUNNING"
    since = stage.clock()
    stage.until(run, "FAILED", step=60)
    assert (stage.clock() - since).total_seconds() < 2600


def test_a_quota_is_waited_for_as_long_as_a_wave_may_take(stage: Stage) -> None:
    stage.simulator.scenario("quota_exceeded", operation="StartRecovery")
    began = stage.clock()
    with override_settings(WAVE_TIMEOUT_SECONDS=7200):
        run = stage.until(stage.start(stage.plan("app-01")), "FAILED", step=100, limit=9000)
    assert (run.error_code, (stage.clock() - began).total_seconds() >= 7200) == ("DRS_QUOTA_EXCEEDED", True)


def test_it_waits_for_its_own_jobs_however_long_and_takes_a_freed_slot_at_once(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=8)
    first = stage.start(stage.plan("app-01"))
    stage.look()
    stage.simulator.scenario("quota_exceeded", operation="StartRecovery")
    second = stage.start(stage.plan("web-01"))
    ended = LaunchJob.objects.filter(wave__execution=first, status="COMPLETED")
    began, job = stage.clock(), LaunchJob.objects.get(wave__execution=second)
    while not ended.exists():
        job.refresh_from_db()
        assert (job.status, job.refused_since) == ("QUEUED", None)
        if (stage.clock() - began).total_seconds() > 2400:
            stage.simulator.clear_scenarios("quota_exceeded")
            later = stage.clock() + timedelta(hours=1)  # it is not tried without a reason
            Place.objects.update(refused_at=later)
            LaunchJob.objects.filter(pk=job.pk).update(not_before=later)
            Execution.objects.filter(pk=second.pk).update(next_step_at=later)
        stage.advance(120)
        stage.look()
    assert (stage.clock() - began).total_seconds() > 2600
    stage.look()
    job.refresh_from_db()
    assert job.job_id


@pytest.mark.field("A21")
def test_a_status_that_nobody_knows_is_no_reason_to_lose_the_job(stage: Stage) -> None:
    stage.simulator.scenario("unknown_status", operation="StartRecovery")
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert LaunchJob.objects.get().job_id == stage.launches()[0]["job_id"]
    assert AuditEntry.objects.filter(verb="launch.sent").count() == 1
    stage.until(run, "COMPLETED")


def test_an_unknown_key_may_also_mean_a_region_that_is_not_enabled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "UnrecognizedClientException"
    refusal = DrsError(BY_CODE[code], code=code, message="No.", region="us-east-1", operation="StartRecovery")
    with monkeypatch.context() as patch:
        patch.setattr(Drs, "start_recovery", Mock(side_effect=refusal))
        run = stage.start(stage.plan("app-01"))
        stage.look()
        assert stage.fresh(run).status == "RUNNING"
        assert "deleted or replaced, or because us-east-1 is not enabled" in message(run)
    stage.until(run, "COMPLETED")


def test_it_gives_up_on_an_aws_that_never_answers_clearly(stage: Stage) -> None:
    stage.simulator.scenario("internal_error_before", operation="StartRecovery")
    run = stage.until(stage.start(stage.plan("app-01")), "FAILED", step=60, limit=7200)
    assert run.error_code == "LAUNCH_REJECTED"
    assert "It last answered: InternalServerException: " in run.error_message
    assert len(stage.simulator.journal("StartRecovery")) == 3  # 11 minutes apart


FATAL = {
    "access_denied": ("DRS_ACCESS_DENIED", "not authorized to perform: drs:StartRecovery"),
    "uninitialized": ("REGION_NOT_INITIALIZED", "not initialized"),
}


@pytest.mark.parametrize("fault", FATAL)
def test_it_fails_the_wave_with_awss_words_when_trying_again_cannot_help(stage: Stage, fault: str) -> None:
    code, text = FATAL[fault]
    stage.simulator.scenario(fault, operation="StartRecovery")
    run = stage.start(stage.plan("app-01"))
    stage.look()
    run = stage.fresh(run)
    assert (run.status, run.error_code) == ("FAILED", code)
    assert text in run.error_message
    assert len(stage.simulator.journal("StartRecovery")) == 1


def test_it_cancels_a_launch_in_doubt_only_when_it_is_clear(stage: Stage) -> None:
    stage.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.advance(300)
    stage.look()
    assert stage.picture(run) == ("CANCELLING", ["INITIATED"])
    stage.until(run, "CANCELLED")
    assert stage.picture(run) == ("CANCELLED", ["SKIPPED"])
    assert stage.launches() == []


def test_a_launch_without_reconciliation_would_be_doubled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the look-up at DRS taken out, these tests do see a doubled launch."""

    def look_nowhere(*_: object) -> AwsCalls[bool]:
        yield from ()
        return False

    monkeypatch.setattr(launch, "_adopt_if_found", look_nowhere)
    monkeypatch.setattr(launch, "adopt_found", lambda *_: False)
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.until(stage.start(stage.plan("app-01")), "COMPLETED")
    assert len(stage.launches()) == 2


@pytest.mark.parametrize(
    ("asked", "earliest"),
    [("120", 120), ("86400", 300), ("-1", 0), ("soon", 0), ("nan", 0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0)],
)
def test_aws_is_left_alone_for_as_long_as_it_asks_for(stage: Stage, asked: str, earliest: int) -> None:
    """… five minutes at most, in a disaster: as long as without being asked."""
    stage.simulator.scenario("throttle", operation="StartRecovery", times=1, retry_after=asked)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    wait = f" and asks to be left alone for {earliest} s" if earliest else ""
    assert message(run) == f"AWS is throttling launches in us-east-1{wait}; retrying."
    passed = 0
    while not stage.launches():
        stage.advance(5)
        passed += 5
        stage.look()
    assert max(earliest, 10) <= passed <= max(earliest, 25) + 5
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_a_place_that_asks_to_be_left_alone_is_not_polled(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.look()
    stage.simulator.scenario("throttle", operation="DescribeJobs", times=1, retry_after="120")
    stage.wait(lambda: Place.objects.filter(failures=1).exists(), run, step=5)
    asked = len(stage.simulator.journal("DescribeJobs"))
    for _ in range(22):
        stage.advance(5)
        stage.look()
    assert len(stage.simulator.journal("DescribeJobs")) == asked
    stage.until(run, "COMPLETED")
