"""Every decision, without a database: tables of situations, and properties that hold in all of them."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.runs import decide as decisive
from executions.runs import decisions as d
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, WaveStatus, roll_up
from plans.models import OnFailure

NOW = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)
POLL = 15.0
KEY = uuid.UUID(int=1)
L, W, J, E = LaunchStatus, WaveStatus, JobStatus, ExecutionStatus


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def job(status: JobStatus = J.QUEUED, **more: Any) -> d.JobView:
    return d.JobView(key=more.pop("key", KEY), status=status, **more)


def wave(number: int = 0, status: WaveStatus = W.PENDING, **more: Any) -> d.WaveView:
    return d.WaveView(number=number, status=status, **{"jobs": (job(),), "servers": (L.PENDING,), **more})


def run(*waves: d.WaveView, status: ExecutionStatus = E.RUNNING, **more: Any) -> d.RunView:
    return d.RunView(status=status, waves=waves, **more)


def decide(view: d.RunView) -> d.Decision:
    return decisive.decide(view, NOW, poll_seconds=POLL)


OTHER = uuid.UUID(int=2)
COMPLETED, FAILED = wave(0, W.COMPLETED), wave(0, W.FAILED)

BEFORE_A_LAUNCH = [
    ("first wave", run(wave()), d.Launch(0, KEY)),
    ("planned pause", run(COMPLETED, wave(1, pause_before=True)), d.Pause(1)),
    ("planned pause, resumed", run(COMPLETED, wave(1, pause_before=True, resumed=True)), d.Launch(1, KEY)),
    (
        "the first one's account does not answer, another one's does",
        run(
            wave(jobs=(job(not_before=NOW + timedelta(seconds=9), place=("1", "a")), job(key=OTHER, place=("2", "a"))))
        ),
        d.Launch(0, OTHER),
    ),
    ("pause asked for", run(COMPLETED, wave(1), pause_requested=True), d.Pause(1)),
    ("pause asked for after a resume", run(COMPLETED, wave(1, resumed=True), pause_requested=True), d.Pause(1)),
    ("cancelled", run(COMPLETED, wave(1), wave(2), cancelled=True), None),
    ("cancelled and pause due", run(COMPLETED, wave(1, pause_before=True), cancelled=True), None),
    ("earlier failure stops", run(FAILED, wave(1), wave(2)), None),
    ("earlier failure goes on", run(replace(FAILED, on_failure=OnFailure.CONTINUE), wave(1)), d.Launch(1, KEY)),
    ("dependency failed", run(replace(FAILED, on_failure=OnFailure.CONTINUE), wave(1, depends_on=(0,))), None),
    ("dependency skipped", run(wave(0, W.SKIPPED), wave(1, depends_on=(0,))), None),
    ("dependency completed", run(COMPLETED, wave(1, depends_on=(0,))), d.Launch(1, KEY)),
    ("paused", run(wave(status=W.PAUSED, paused_at=ago(60)), status=E.PAUSED), None),
    ("paused for a year", run(wave(status=W.PAUSED, paused_at=ago(31_536_000)), status=E.PAUSED), d.ExpirePause(0)),
]


@pytest.mark.parametrize(("view", "expected"), [pytest.param(*row[1:], id=row[0]) for row in BEFORE_A_LAUNCH])
def test_it_decides_what_a_wave_that_has_not_begun_does(view: d.RunView, expected: d.Decision | None) -> None:
    if expected is not None:
        assert decide(view) == expected
    elif view.status is E.PAUSED:
        assert decide(view) == d.Wait(ago(60) + d.PAUSE_LIMIT)
    else:
        skip = decide(view)
        assert isinstance(skip, d.Skip)
        rest = tuple(each.number for each in view.waves if not each.status.is_final)
        assert skip.waves == (rest[:1] if "depends" in skip.reason else rest)


def flying(*jobs: d.JobView, servers: tuple[LaunchStatus, ...] = (L.PENDING,), **more: Any) -> d.WaveView:
    return wave(0, W.POLLING, jobs=jobs, servers=servers, **more)


SENT = job(J.PENDING, intent_at=ago(5), seen_at=ago(5))
IN_FLIGHT = [
    ("intent only", run(flying(job(J.INITIATED, intent_at=ago(1)))), d.Reconcile(0, KEY)),
    (
        "looked for a moment ago",
        run(flying(job(J.INITIATED, not_before=NOW + timedelta(seconds=9)))),
        d.Wait(NOW + timedelta(seconds=9)),
    ),
    ("polled", run(flying(SENT)), d.Wait(NOW + decisive.LONGEST_REST)),
    ("second job too early", run(flying(SENT, job(key=OTHER))), d.Wait(NOW + timedelta(seconds=10))),
    ("second job, elsewhere", run(flying(SENT, job(key=OTHER, place=("2", "a")))), d.Launch(0, OTHER)),
    ("second job due", run(flying(replace(SENT, intent_at=ago(15)), job(key=OTHER))), d.Launch(0, OTHER)),
    ("second job, cancelled", run(flying(SENT, job(key=OTHER)), cancelled=True), d.Withdraw(0, (OTHER,))),
    ("refused for now", run(flying(job(not_before=NOW + timedelta(seconds=3)))), d.Wait(NOW + timedelta(seconds=3))),
    ("refused, time has come", run(flying(job(not_before=ago(1)))), d.Launch(0, KEY)),
    (
        "one that was tried in vain comes after one that was not",
        run(flying(job(not_before=ago(1)), job(key=OTHER, place=("2", "a")))),
        d.Launch(0, OTHER),
    ),
    (
        "unknown beside a due one",
        run(flying(job(J.INITIATED, not_before=NOW + timedelta(seconds=9), intent_at=ago(20)), job(key=OTHER))),
        d.Launch(0, OTHER),
    ),
]


@pytest.mark.parametrize(("view", "expected"), [pytest.param(*row[1:], id=row[0]) for row in IN_FLIGHT])
def test_it_decides_what_a_wave_in_flight_does(view: d.RunView, expected: d.Decision) -> None:
    assert decide(view) == expected


def verdict(*jobs: d.JobView, servers: tuple[LaunchStatus, ...], **more: Any) -> tuple[str, str] | str | None:
    told = decisive.judge_wave(flying(*jobs, servers=servers, **more))
    if isinstance(told, d.GiveUpUnsettled | d.GiveUpUnproven):
        return "give up" if isinstance(told, d.GiveUpUnsettled) else "give up unproven"
    return (told.status.value, told.code) if told else None


def started(seen: float) -> d.JobView:
    return job(J.STARTED, seen_at=ago(seen))


def ended(since: float, *, seen: float = 0, listed: float | None = 0) -> d.JobView:
    at = None if listed is None else ago(max(seen, listed))
    return job(J.COMPLETED, seen_at=ago(seen), completed_seen_at=ago(since), instances_seen_at=at)


STARTED, ENDED = started(0), ended(1)
JUDGEMENTS = [
    ("all up", (STARTED,), (L.LAUNCHED, L.LAUNCHED), None, ("COMPLETED", "")),
    ("all up, long past the deadline", (STARTED,), (L.LAUNCHED,), ago(999), ("COMPLETED", "")),
    ("one failed early, one still goes on", (STARTED,), (L.FAILED, L.PENDING), None, None),
    ("one failed, all settled", (STARTED,), (L.FAILED, L.LAUNCHED), None, ("FAILED", "SERVER_LAUNCH_FAILED")),
    ("all failed in a COMPLETED job", (ENDED,), (L.FAILED,), None, ("FAILED", "SERVER_LAUNCH_FAILED")),
    ("terminated meanwhile", (STARTED,), (L.TERMINATED,), None, ("FAILED", "SERVER_LAUNCH_FAILED")),
    ("COMPLETED, row lags behind", (ENDED,), (L.PENDING,), None, None),
    ("COMPLETED, row lagged for the whole grace", (ended(121),), (L.PENDING,), None, "give up"),
    ("COMPLETED long ago, not looked at since", (ended(901, seen=900),), (L.PENDING,), None, None),
    ("COMPLETED, instances not asked for", (ended(999, listed=None),), (L.PENDING,), None, None),
    ("COMPLETED, instances asked for too early", (ended(999, listed=900),), (L.PENDING,), None, None),
    ("COMPLETED, instances not told for a day", (ended(86_401, listed=None),), (L.PENDING,), None, "give up"),
    ("late, ended, instances not asked for", (ended(60, listed=None),), (L.PENDING,), ago(1), None),
    ("late, ended and listed", (ended(60),), (L.PENDING,), ago(1), ("FAILED", "WAVE_TIMEOUT")),
    ("gone, one of two", (ENDED, job(J.REJECTED, error_code="G")), (L.LAUNCHED, L.FAILED), None, ("FAILED", "G")),
    ("in time", (STARTED,), (L.PENDING,), NOW + timedelta(seconds=1), None),
    ("late, seen after the deadline", (STARTED,), (L.PENDING,), ago(1), ("FAILED", "WAVE_TIMEOUT")),
    ("late, seen before the deadline only", (started(2),), (L.PENDING,), ago(1), None),
    ("late, never seen", (job(J.PENDING),), (L.PENDING,), ago(1), None),
    ("late, one of two regions not seen", (STARTED, started(60)), (L.PENDING,), ago(1), None),
    ("late, ended before the deadline", (ended(3, seen=2),), (L.PENDING,), ago(1), None),
    ("late, one job never sent", (STARTED, job()), (L.PENDING,), ago(1), None),
    ("rejected", (job(J.REJECTED, error_code="X"),), (L.FAILED,), None, ("FAILED", "X")),
    ("withdrawn before anything was sent", (job(J.WITHDRAWN),), (), None, ("SKIPPED", "")),
    ("withdrawn in part", (ENDED, job(J.WITHDRAWN)), (L.LAUNCHED,), None, ("FAILED", "")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("jobs", "servers", "deadline", "expected"), [pytest.param(*row[1:], id=row[0]) for row in JUDGEMENTS]
)
def test_it_judges_a_wave_by_its_servers_on_fresh_evidence(
    jobs: tuple[d.JobView, ...], servers: tuple[LaunchStatus, ...], deadline: datetime | None, expected: object
) -> None:
    assert verdict(*jobs, servers=servers, deadline_at=deadline) == expected


@pytest.mark.parametrize(
    ("waves", "launched", "cancelled", "expected"),
    [
        ([W.COMPLETED, W.COMPLETED], True, False, E.COMPLETED),
        ([W.COMPLETED, W.FAILED], True, False, E.PARTIAL),
        ([W.COMPLETED, W.SKIPPED], True, False, E.PARTIAL),
        ([W.FAILED, W.SKIPPED], True, False, E.PARTIAL),
        ([W.FAILED, W.SKIPPED], False, False, E.FAILED),
        ([W.SKIPPED], False, False, E.FAILED),
        ([W.COMPLETED, W.SKIPPED], True, True, E.CANCELLED),
        ([W.COMPLETED], True, True, E.CANCELLED),
    ],
)
def test_it_rolls_waves_up(waves: list[WaveStatus], launched: bool, cancelled: bool, expected: ExecutionStatus) -> None:
    assert roll_up(waves, any_launched=launched, cancelled=cancelled) is expected
    view = run(*(wave(number, each) for number, each in enumerate(waves)), cancelled=cancelled, any_launched=launched)
    assert decide(view) == d.Finish(expected)


@given(st.floats(9e8, 4e9), st.sampled_from([0.1, 1.0, 2.5, 15.0, 60.0]))
def test_it_polls_on_one_grid_that_lies_ahead(moment: float, seconds: float) -> None:
    now = datetime.fromtimestamp(moment, UTC)
    slot = decisive.next_poll_slot(now, seconds)
    assert timedelta(0) < slot - now <= timedelta(seconds=seconds + 0.001)
    assert abs(slot.timestamp() / seconds - round(slot.timestamp() / seconds)) < 1e-3


@given(st.integers(0, 10_000), st.floats(0.75, 1.25), st.floats(0.1, 60))
def test_it_backs_off_within_bounds(failures: int, jitter: float, seconds: float) -> None:
    wait = decisive.backoff(failures, seconds, jitter)
    assert timedelta(seconds=min(seconds, 300) * 0.74) <= wait <= decisive.BACKOFF_LIMIT * 1.25
    assert decisive.backoff(failures + 1, seconds, jitter) >= wait


# Properties of all situations

moments = st.one_of(st.none(), st.integers(-4000, 4000).map(lambda s: NOW + timedelta(seconds=s)))
jobs = st.builds(
    d.JobView,
    key=st.uuids(),
    status=st.sampled_from(J),
    intent_at=moments,
    not_before=moments,
    seen_at=moments,
    completed_seen_at=moments,
)
open_waves = st.builds(
    d.WaveView,
    number=st.just(0),
    status=st.sampled_from([each for each in W if not each.is_final]),
    pause_before=st.booleans(),
    paused_at=moments,
    resumed=st.booleans(),
    deadline_at=moments,
    jobs=st.lists(jobs, min_size=1, max_size=4, unique_by=lambda each: each.key).map(tuple),
    servers=st.lists(st.sampled_from(L), min_size=1, max_size=4).map(tuple),
)
runs = st.builds(
    d.RunView,
    status=st.sampled_from([each for each in E if not each.is_final]),
    waves=open_waves.map(lambda each: (each,)),
    cancelled=st.booleans(),
    pause_requested=st.booleans(),
)


def fresh(view: d.WaveView) -> d.WaveView:
    """A wave that has not begun has sent nothing: its jobs are all queued."""
    queued = tuple(replace(each, status=J.QUEUED, not_before=None) for each in view.jobs)
    return view if view.status.has_begun else replace(view, jobs=queued)


@given(runs)
def test_it_never_sends_what_may_already_be_at_drs(view: d.RunView) -> None:
    view = replace(view, waves=tuple(map(fresh, view.waves)))
    decision = decide(view)
    if isinstance(decision, d.Launch):
        sent = next(each for each in view.waves[0].jobs if each.key == decision.job)
        assert sent.status is J.QUEUED
        assert sent.not_before is None or sent.not_before <= NOW
        assert not view.cancelled
        there = [each for each in view.waves[0].jobs if each.place == sent.place and each.status is not J.QUEUED]
        others = [each.intent_at for each in there if each.intent_at]
        if view.waves[0].status.has_begun:
            assert all(NOW - each >= decisive.LAUNCH_SPACING for each in others)


@given(runs)
def test_it_never_judges_a_wave_with_an_open_question(view: d.RunView) -> None:
    view = replace(view, waves=tuple(map(fresh, view.waves)))
    decision, current = decide(view), view.waves[0]
    if isinstance(decision, d.SettleWave):
        assert not any(each.status is J.INITIATED for each in current.jobs)
        if decision.code == "WAVE_TIMEOUT":
            assert current.deadline_at is not None
            assert all(
                each.seen_at is not None and each.seen_at > current.deadline_at
                for each in current.jobs
                if each.status in (J.PENDING, J.STARTED, J.COMPLETED)
            )
        else:
            assert all(each.is_settled for each in current.servers) or decision.status is W.SKIPPED


@given(runs)
def test_it_always_gets_on_or_waits_for_a_time_ahead(view: d.RunView) -> None:
    view = replace(view, waves=tuple(map(fresh, view.waves)))
    decision = decide(view)
    if isinstance(decision, d.Wait):
        assert decision.until > NOW
    if view.cancelled and not view.waves[0].status.has_begun:
        assert isinstance(decision, d.Skip)


# Several waves, the first of which may have failed, been skipped by a person, or wait for an answer.

over_waves = st.builds(
    d.WaveView,
    number=st.just(0),
    status=st.sampled_from([each for each in W if each.is_final]),
    on_failure=st.sampled_from(OnFailure),
    asked_at=moments,
    answered=st.booleans(),
    runs_dependents=st.booleans(),
    left_out=st.booleans(),
)
next_waves = st.builds(
    d.WaveView,
    number=st.just(1),
    status=st.sampled_from([W.PENDING, W.PAUSED]),
    pause_before=st.booleans(),
    paused_at=moments,
    resumed=st.booleans(),
    wait=st.sampled_from([timedelta(), timedelta(minutes=5)]),
    starts_at=moments,
    depends_on=st.sampled_from([(), (0,)]),
    jobs=st.just((d.JobView(KEY, J.QUEUED),)),
    servers=st.just((L.PENDING,)),
)
steered = st.builds(
    lambda one, other, **rest: d.RunView(waves=(one, other), **rest),
    over_waves,
    next_waves,
    status=st.sampled_from([E.RUNNING, E.PAUSED]),
    cancelled=st.booleans(),
    pause_requested=st.booleans(),
)


@given(steered)
def test_it_never_launches_past_a_gate_a_wait_or_a_question(view: d.RunView) -> None:
    decision, (before, wave) = decide(view), view.waves
    if isinstance(decision, d.Launch):
        assert not before.needs_answer
        assert not view.cancelled
        assert not view.pause_requested
        assert wave.status is W.PENDING
        assert wave.resumed or not wave.pause_before
        assert wave.starts_at is not None or not wave.wait
        assert wave.starts_at is None or wave.starts_at <= NOW
        assert before.status is not W.FAILED or not before.on_failure.stops_plan
        assert 0 not in wave.depends_on or before.status is W.COMPLETED or before.runs_dependents


@given(steered)
def test_it_asks_a_person_once_and_waits_for_the_answer(view: d.RunView) -> None:
    decision, before = decide(view), view.waves[0]
    if before.needs_answer and not view.cancelled:
        assert isinstance(decision, d.PauseAfter if before.asked_at is None else d.Wait | d.ExpirePauseAfter)
    if isinstance(decision, d.Wait):
        assert decision.until > NOW


@pytest.mark.parametrize(
    ("required", "optional", "status", "message"),
    [
        ((L.LAUNCHED,), (L.FAILED,), W.COMPLETED, "Completed without 1 of 1 optional server."),
        ((L.LAUNCHED,), (L.LAUNCHED,), W.COMPLETED, ""),
        ((), (L.FAILED, L.FAILED), W.COMPLETED, "Completed without 2 of 2 optional servers."),
        ((L.FAILED, L.LAUNCHED), (L.LAUNCHED,), W.FAILED, "1 of 3 servers did not launch."),
    ],
)
def test_an_optional_server_decides_nothing(
    required: tuple[LaunchStatus, ...], optional: tuple[LaunchStatus, ...], status: WaveStatus, message: str
) -> None:
    wave = d.WaveView(0, W.LAUNCHING, jobs=(d.JobView(KEY, J.COMPLETED),), servers=required, optional=optional)
    settled = decisive.judge_wave(wave)
    assert isinstance(settled, d.SettleWave)
    assert (settled.status, settled.message) == (status, message)


@pytest.mark.parametrize(
    ("statuses", "left_out", "expected"),
    [
        ([W.COMPLETED, W.SKIPPED], [False, True], E.COMPLETED),
        ([W.COMPLETED, W.SKIPPED], [False, False], E.PARTIAL),
        ([W.SKIPPED, W.SKIPPED], [True, True], E.CANCELLED),
        ([W.FAILED, W.SKIPPED], [False, True], E.PARTIAL),
    ],
)
def test_what_people_skip_makes_no_run_partial(
    statuses: list[WaveStatus], left_out: list[bool], expected: ExecutionStatus
) -> None:
    waves = tuple(
        d.WaveView(number, status, left_out=out, on_failure=OnFailure.CONTINUE)
        for number, (status, out) in enumerate(zip(statuses, left_out, strict=True))
    )
    launched = W.COMPLETED in statuses or W.FAILED in statuses
    assert decide(d.RunView(E.RUNNING, waves, any_launched=launched)) == d.Finish(expected)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([J.INITIATED], W.INITIATED),
        ([J.QUEUED, J.REJECTED], W.INITIATED),
        ([J.PENDING, J.QUEUED], W.POLLING),
        ([J.PENDING, J.STARTED], W.LAUNCHING),
        ([J.COMPLETED, J.INITIATED], W.LAUNCHING),
    ],
)
def test_it_shows_a_begun_wave_by_its_jobs(statuses: list[JobStatus], expected: WaveStatus) -> None:
    assert decisive.wave_status(statuses) is expected
    assert decisive.running_status(expected, cancelled=True) is E.CANCELLING
