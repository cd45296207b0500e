"""What is said of a plan before it is run: every reason on its own, weighed into one verdict."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from executions.readiness.assessment import assess, data_age, findings
from executions.readiness.terms import Drill, PlanFacts, Readiness, RegionFacts, ServerFacts, WaveFacts
from executions.states import Kind, Verdict

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AGO = timedelta(minutes=1)
BELIEVED = timedelta(minutes=5)

GOOD = ServerFacts(
    "s-1", "db-01", "us-east-1", replication_state="CONTINUOUS", lag_seconds=3, seen_at=NOW - AGO,
    latest_snapshot_at=NOW - timedelta(minutes=9), launch_template_id="lt-1", details_as_of=NOW - AGO,
)  # fmt: skip
OTHER = replace(GOOD, id="s-2", name="app-01")
REGION = RegionFacts("us-east-1", as_of=NOW - AGO, jobs_as_of=NOW - AGO)


def copy(*waves: list[str], **wave: Any) -> dict[str, Any]:
    return {
        "waves": [
            {"waveNumber": at, "serverIds": ids, "pauseBeforeWave": False, "onFailure": "STOP", "dependsOnWaves": []}
            | wave
            for at, ids in enumerate(waves)
        ]
    }


DRILLED = Drill(uuid.uuid4(), NOW - timedelta(days=3), copy(["s-1"], ["s-2"]))


def plan(*servers: ServerFacts, region: RegionFacts = REGION, **facts: Any) -> PlanFacts:
    waves = [WaveFacts(at, [each]) for at, each in enumerate(servers or (GOOD, OTHER))]
    given: dict[str, Any] = {"waves": waves, "regions": {region.place: region}, "last_drill": DRILLED, **facts}
    return PlanFacts(plan_id=uuid.uuid4(), name="P", version=1, **given)


def weighed(facts: PlanFacts) -> Readiness:
    return assess(facts, NOW, BELIEVED)


def codes(found: Readiness) -> list[str]:
    return [each.code for each in found.reasons]


@pytest.mark.field("B12")
def test_without_an_engine_no_plan_is_ready_whatever_else_is_known() -> None:
    found = weighed(plan(engine_alive=False))
    assert (found.verdict, codes(found)) == (Verdict.NOT_READY, ["ENGINE_NOT_ALIVE"])
    assert "python manage.py engine" in found.reasons[0].text
    assert found.lacks_engine
    assert not weighed(plan()).lacks_engine


def test_a_plan_of_which_nothing_is_wrong_is_ready_until_what_is_known_is_too_old() -> None:
    found = weighed(plan())
    assert (found.verdict, codes(found)) == (Verdict.READY, [])
    assert found.expires_at == NOW - AGO + BELIEVED


@pytest.mark.parametrize(
    ("server", "code", "verdict", "words"),
    [
        ({"gone": True}, "SERVER_GONE", Verdict.NOT_READY, "No longer in DRS: db-01."),
        ({"known": False}, "SERVER_GONE", Verdict.NOT_READY, "No longer in DRS: db-01."),
        ({"latest_snapshot_at": None}, "NO_SNAPSHOT", Verdict.NOT_READY, "No recovery snapshot"),
        ({"replication_state": "INITIAL_SYNC"}, "NO_SNAPSHOT", Verdict.NOT_READY, "No recovery snapshot"),
        ({"launch_template_id": ""}, "NO_LAUNCH_SETTINGS", Verdict.NOT_READY, "No launch settings"),
        ({"lag_seconds": 901}, "RPO_EXCEEDED", Verdict.NOT_READY, "Data older than the RPO allows: db-01."),
        ({"held_by": "Orders"}, "SERVER_CONFLICT", Verdict.NOT_READY, "Held by an active run: db-01."),
        ({"details_as_of": None}, "DETAILS_UNKNOWN", Verdict.UNKNOWN, "not read recently"),
        ({"details_as_of": NOW - timedelta(hours=7)}, "DETAILS_UNKNOWN", Verdict.UNKNOWN, "not read recently"),
        ({"replication_state": "STALLED"}, "NOT_REPLICATING", Verdict.READY_WITH_WARNINGS, "Not replicating"),
        ({"replication_state": "BACKLOG"}, "LAGGING", Verdict.READY_WITH_WARNINGS, "Behind its source: db-01."),
        ({"replication_state": "NEW_WORD"}, "LAGGING", Verdict.READY_WITH_WARNINGS, "Behind its source: db-01."),
        ({"instance_of": Kind.DRILL}, "DRILL_INSTANCE_RUNS", Verdict.READY_WITH_WARNINGS, "still running"),
        ({"instance_of": Kind.RECOVERY}, "RECOVERY_INSTANCE_RUNS", Verdict.READY_WITH_WARNINGS, "replaces it"),
        ({"has_foreign_instance": True}, "FOREIGN_INSTANCE_RUNS", Verdict.READY_WITH_WARNINGS, "replaces it"),
    ],
)
def test_each_trouble_of_a_server_is_a_reason(server: dict[str, Any], code: str, verdict: str, words: str) -> None:
    found = weighed(plan(replace(GOOD, **server), OTHER, rpo_minutes=15))
    assert codes(found) == [code]
    assert found.verdict == verdict
    assert words in found.reasons[0].text
    assert found.reasons[0].server_ids == ["s-1"]


@pytest.mark.parametrize("state", ["CONTINUOUS", "CREATING_SNAPSHOT"])
def test_a_server_that_takes_its_snapshots_is_as_it_should_be(state: str) -> None:
    assert weighed(plan(replace(GOOD, replication_state=state), OTHER)).verdict is Verdict.READY


def test_the_data_of_a_server_that_is_cut_off_is_as_old_as_its_last_snapshot() -> None:
    cut = replace(GOOD, replication_state="DISCONNECTED", lag_seconds=None)
    assert "RPO_EXCEEDED" not in codes(weighed(plan(cut, OTHER, rpo_minutes=9)))
    assert "RPO_EXCEEDED" in codes(weighed(plan(cut, OTHER, rpo_minutes=8)))
    unread = replace(cut, latest_snapshot_at=None, details_as_of=None, lag_seconds=600)
    assert "RPO_EXCEEDED" in codes(weighed(plan(unread, OTHER, rpo_minutes=10)))  # its lag has grown since


@pytest.mark.field("A23")
def test_a_lag_that_drs_does_not_tell_is_not_none() -> None:
    """Whatever the state; one that it tells is as old as its reading, too."""
    behind = replace(GOOD, replication_state="BACKLOG", lag_seconds=None)
    found, unknown = findings(behind, REGION, 15, NOW)
    assert found.text == "Its replication is BACKLOG. DRS does not report how old its data is."
    assert unknown.code == "RPO_UNKNOWN"
    (found,) = findings(replace(behind, lag_seconds=30), REGION, 15, NOW)
    assert found.text == "Its replication is BACKLOG. Its data is 90 s old."  # read a minute ago
    assert data_age(replace(GOOD, lag_seconds=None), NOW) is None
    assert weighed(plan(replace(GOOD, lag_seconds=None), OTHER, rpo_minutes=15)).verdict is Verdict.UNKNOWN
    assert weighed(plan(replace(GOOD, lag_seconds=None), OTHER)).verdict is Verdict.READY


@pytest.mark.parametrize(
    ("region", "code", "verdict"),
    [
        ({"as_of": None}, "INVENTORY_STALE", Verdict.UNKNOWN),
        ({"as_of": NOW - BELIEVED - AGO}, "INVENTORY_STALE", Verdict.UNKNOWN),
        ({"jobs_as_of": None}, "QUOTA_UNKNOWN", Verdict.UNKNOWN),
        ({"initialized": False}, "REGION_NOT_INITIALIZED", Verdict.NOT_READY),
        ({"error": "AccessDenied"}, "INVENTORY_FAILING", Verdict.READY_WITH_WARNINGS),
    ],
)
def test_what_is_not_known_is_never_ready(region: dict[str, Any], code: str, verdict: str) -> None:
    found = weighed(plan(region=replace(REGION, **region)))
    assert (codes(found), found.verdict) == ([code], verdict)


def test_a_server_of_a_region_that_was_never_read_is_not_said_to_be_gone() -> None:
    unread = [replace(each, known=False) for each in (GOOD, OTHER)]
    assert codes(weighed(plan(*unread, region=RegionFacts("us-east-1")))) == ["INVENTORY_STALE"]


def test_it_counts_what_runs_against_the_quotas_and_says_whose_it_is() -> None:
    jobs = {f"drsjob-{at}": ("s-9",) for at in range(20)}
    found = weighed(plan(region=replace(REGION, running=jobs, foreign=frozenset(list(jobs)[:12]))))
    assert codes(found) == ["QUOTA_JOBS"]
    assert "20 DRS jobs with 20 servers in us-east-1, 12 of them not ours" in found.reasons[0].text
    one = {"drsjob-1": tuple(f"s-{at}" for at in range(500))}
    found = weighed(plan(region=replace(REGION, running=one, foreign=frozenset(one))))
    assert codes(found) == ["BUSY_AT_DRS", "QUOTA_SERVERS"]
    assert codes(weighed(plan(region=replace(REGION, running=one)))) == ["QUOTA_SERVERS"]  # our own job


def test_the_worst_reason_decides_and_comes_first() -> None:
    troubled = replace(GOOD, replication_state="STALLED", details_as_of=None, gone=False, launch_template_id="")
    found = weighed(plan(troubled, replace(OTHER, gone=True)))
    assert codes(found) == ["SERVER_GONE", "DETAILS_UNKNOWN", "NOT_REPLICATING"]
    assert found.verdict is Verdict.NOT_READY


def test_a_plan_that_runs_or_has_no_waves_is_not_ready() -> None:
    assert codes(weighed(plan(active_status="PAUSED"))) == ["PLAN_ALREADY_EXECUTING"]
    assert "PLAN_HAS_NO_WAVES" in codes(weighed(plan(waves=[], regions={})))


def test_it_says_when_the_plan_was_last_drilled() -> None:
    assert codes(weighed(plan(last_drill=None))) == ["NEVER_DRILLED"]
    old = replace(DRILLED, ended_at=NOW - timedelta(days=91))
    found = weighed(plan(last_drill=old))
    assert codes(found) == ["DRILL_OVERDUE"]
    assert "91 days ago" in found.reasons[0].text


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (copy(["s-1"]), ["Added: app-01 in wave 2.", "It had 1 wave and has 2."]),
        (copy(["s-1", "s-0"], ["s-2"]), ["Taken out: s-0 of wave 1."]),
        (
            copy(["s-2"], ["s-1"]),
            ["Moved from wave 2 to wave 1: 1 server.", "Moved from wave 1 to wave 2: 1 server."],
        ),
        (
            copy(["s-1"], ["s-2"], pauseBeforeWave=True),
            ["Wave 1, pause before: no, was yes.", "Wave 2, pause before: no, was yes."],
        ),
        (
            copy(["s-1"], ["s-2"], onFailure="CONTINUE"),
            [f"Wave {number}, on failure: Stop the plan, was Continue with the next wave." for number in (1, 2)],
        ),
        (copy(["s-1"], ["s-2"]), []),
    ],
)
def test_it_says_what_changed_since_the_last_good_drill(then: dict[str, Any], words: list[str]) -> None:
    found = weighed(plan(last_drill=replace(DRILLED, plan_copy=then)))
    assert found.changes == words
    assert codes(found) == (["CHANGED_SINCE_DRILL"] if words else [])
