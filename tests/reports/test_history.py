"""A report is held against the journal; a retry is measured with what was tried before."""

import json
from datetime import timedelta
from typing import Any

import pytest

from audit.models import AuditEntry
from contract.clock import unix
from drsorch_verify import archive, history
from drsorch_verify.check import JOURNAL, REPORT, notes, problems
from executions.commands.retry import retry
from executions.measuring.forecast import current_forecast
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from reports import services
from reports.sentences import facts
from tests.reports.runs import OPERATOR, drilled, payments
from tests.support.still import StillStage

THREE_HOURS = 3 * 3600


def known(still: StillStage, run: Execution) -> Execution:
    """Wait until DRS has no more news of a run."""
    return still.wait(lambda: still.fresh(run).next_step_at is None, run, step=15)


def packed(still: StillStage, run: Execution) -> bytes:
    return services.evidence(actor=OPERATOR, execution_id=run.pk, clock=still.clock)


@pytest.fixture
def tried_again(still: StillStage) -> tuple[Execution, Execution]:
    """app-02 fails; three hours after everything is known of that it is tried again, and comes up."""
    plan = payments(still)
    still.simulator.scenario("launch_failed", servers=["app-02"], raw_error="InsufficientInstanceCapacity", times=1)
    first = known(still, drilled(still, plan))
    still.advance(THREE_HOURS)
    second = retry(actor=OPERATOR, execution_id=first.pk, clock=still.clock)
    still.look()
    told = current_forecast(still.fresh(second), still.clock())
    assert told is not None
    assert told.due == first.started_at + timedelta(minutes=60)  # production is down since attempt 1
    return first, known(still, still.until(second, "COMPLETED", step=15))


def test_a_retry_is_measured_from_the_first_attempts_start_over_all_servers(
    still: StillStage, tried_again: tuple[Execution, Execution]
) -> None:
    first, second = tried_again
    report = services.report(second.pk, still.clock())
    took = unix(second.started_at) - unix(first.started_at) + 525  # a launch is seen up after 525 s
    assert (report["measured"]["servers"], report["measured"]["launchedServers"]) == (4, 4)
    assert report["measured"]["rto"] == {
        "reached": "MISSED", "seconds": took, "targetSeconds": 3600, "missedBySeconds": took - 3600,
    }  # fmt: skip
    assert "attempt 2: completed, 4 of 4 servers launched" in report["verdict"]
    assert "the RTO of 1 h was missed" in report["verdict"]
    assert sum(report["measured"]["split"].values()) == took  # type: ignore[arg-type]
    assert report["measured"]["split"]["person"] == 600 + unix(second.started_at) - unix(first.ended_at or still.now)
    assert report["comparison"] is None  # not with its own first attempt
    shown = dict(facts(report))
    assert shown["Attempt 1"].startswith("partial, 3 of 4 servers launched, the last after 27 min 30 s")
    assert shown["Attempt 2"].startswith("completed, 1 of 1 server launched, the last after 8 min 45 s")


def test_the_pack_of_a_retry_holds_and_has_the_journal_of_all_attempts(
    still: StillStage, tried_again: tuple[Execution, Execution]
) -> None:
    first, second = tried_again
    pack = packed(still, second)
    assert problems(pack) == []
    entries = [link["entry"] for link in json.loads(archive.read(pack)[JOURNAL])["links"] if "entry" in link]
    assert {each["subject_id"] for each in entries} == {str(first.pk), str(second.pk)}
    Execution.objects.filter(pk=first.pk).update(started_at=second.started_at)
    Execution.objects.filter(pk=second.pk).update(first_started_at=second.started_at)
    assert any("first attempt was started" in each for each in problems(packed(still, second)))
    WaveRun.objects.filter(execution=first, number=0).update(status="FAILED", error_code="WAVE_TIMEOUT")
    WaveRun.objects.filter(execution=second, number=1).update(status="COMPLETED")
    assert any("attempt 1, wave 1: the journal does not say that it FAILED" in each
               for each in problems(packed(still, second)))  # fmt: skip
    Execution.objects.filter(pk=first.pk).delete()  # the history cleaned up: the journal still tells
    shown = services.report(second.pk, still.clock())
    assert (shown["earlier"], shown["measured"]["rpo"]["reached"]) == ([], "UNKNOWN")


def test_rows_changed_after_the_fact_do_not_pass(still: StillStage) -> None:
    """Whoever has the database shortens the drill; the report follows the rows, the journal does not."""
    plan = payments(still)
    run = known(still, drilled(still, plan))
    assert problems(packed(still, run)) == []
    assert notes(packed(still, run)) == []
    later, wave = run.started_at + timedelta(seconds=900), {"wave__execution": run}
    rows: list[tuple[Any, dict[str, Any], str]] = [
        (Execution.objects.filter(pk=run.pk), {"started_at": later}, "startTime is not when"),
        (Execution.objects.filter(pk=run.pk), {"ended_at": later}, "endTime is not when"),
        (Execution.objects.filter(pk=run.pk), {"started_by": "ceo@example.com"}, "startedBy is 'ceo@example.com'"),
        (Execution.objects.filter(pk=run.pk), {"rto_minutes": 600}, "rtoMinutes is 600, the journal says 60"),
        (Execution.objects.filter(pk=run.pk), {"plan_copy": {"version": 9, "waves": []}}, "plan is not the one"),
        (run.waves.filter(number=0), {"started_at": later}, "wave 1: startTime is not"),
        (run.waves.filter(number=0), {"ended_at": later}, "wave 1: endTime is not"),
        (run.waves.filter(number=1), {"paused_at": None, "resumed_at": None, "resumed_by": ""}, "pausedTime is not"),
        (run.waves.filter(number=1), {"resumed_at": later}, "resumedTime is not"),
        (run.waves.filter(number=1), {"resumed_by": "ceo@example.com"}, "resumedBy is"),
        (LaunchJob.objects.filter(**wave, wave__number=0), {"intent_at": later}, "intentTime is not"),
        (ServerRun.objects.filter(**wave), {"launched_at": run.started_at}, "is of another time than"),
        (ServerRun.objects.filter(**wave), {"point_in_time": later}, "is of another time than"),
        (ServerRun.objects.filter(**wave), {"used_previous_snapshot": True}, "usedPreviousSnapshot of wave 1"),
        (JobEvent.objects.filter(job__wave__execution=run, event="SNAPSHOT_END"), {"at": later}, "the log of job"),
    ]  # fmt: skip
    for chosen, change, told in rows:
        before = {each.pk: {name: getattr(each, name) for name in change} for each in chosen}
        chosen.update(**change)
        found = problems(packed(still, run))
        assert any(told in each for each in found), (change, found)
        for pk, columns in before.items():
            chosen.model.objects.filter(pk=pk).update(**columns)
    assert problems(packed(still, run)) == []


def test_what_older_entries_do_not_vouch_for_is_said(still: StillStage) -> None:
    """Entries from before they carried figures: the time of the entry stands in, give or take two minutes."""
    run = known(still, drilled(still, payments(still)))
    files = archive.read(packed(still, run))
    report = json.loads(files[REPORT])
    entries = [link["entry"] for link in json.loads(files[JOURNAL])["links"] if "entry" in link][:-1]
    times = {"execution.start": "startTime", "execution.ended": "endTime", "execution.paused": "pausedTime",
             "execution.resume": "resumedTime", "launch.intent": "intentTime", "wave.completed": "endTime"}  # fmt: skip
    report["journal"] = [line for line in report["journal"] if line["verb"] != "launch.ended"]
    old = [each for each in entries if each["verb"] != "launch.ended"]
    for entry, line in zip(old, report["journal"], strict=True):
        moment = entry["detail"].pop(times.get(entry["verb"], ""), None)
        for name in ("launches", "startTime", "planDigest", "rtoMinutes", "rpoMinutes"):
            entry["detail"].pop(name, None)
        if moment is not None:
            entry["at"] = AuditEntry(at=still.now.fromtimestamp(moment + 5, still.now.tzinfo)).at.isoformat()
            line["time"] = moment + 5
    assert history.problems(report, old) == []
    assert history.notes(report, old) == [
        "Not anchored in the journal: 4 launch times.",
        "Not anchored in the journal: 4 points in time of data.",
        "Not anchored in the journal: 2 job logs.",
    ]
    report["startTime"] -= 600
    report["waves"][0]["servers"][0]["launchTime"] += 600  # past the end of its wave
    said = " ".join(history.problems(report, old))
    assert "startTime is not when the journal says" in said
    assert "db-primary-01 was launched at a time when" in said
