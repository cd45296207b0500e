"""A time in which no engine worked on a run stands in its journal, its feed and its report."""

import uuid
from datetime import timedelta

import pytest

from audit.models import AuditEntry
from contract.clock import SteadyClock, db_clock
from executions.console.live_page.event_feed import feed
from executions.engine.beat import Beat
from executions.models import Execution, Pacemaker
from reports.report_data import record
from reports.sentences import facts
from tests.support.stage import Stage

pytestmark = pytest.mark.both
AWAY = timedelta(minutes=5)


def turn() -> bool:
    """A new engine asks for its turn."""
    return Beat(SteadyClock(), uuid.uuid4())._has_turn()


def test_a_time_without_an_engine_is_told_once_by_the_engine_that_ends_it(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    Execution.objects.update(started_at=db_clock() - 2 * AWAY)
    last = db_clock() - AWAY
    Pacemaker.objects.update_or_create(pk=1, defaults={"beat_at": last, "until": None, "holder": None})
    assert turn()
    assert not turn(), "the first one has it"
    entry = AuditEntry.objects.get(verb="execution.unattended")
    assert entry.detail["since"] == int(last.timestamp())
    assert any(each.text.startswith("No engine worked on the run for 5 min") for each in feed(run))
    Execution.objects.update(started_at=run.started_at)  # as the journal has it
    stage.until(run, "COMPLETED")
    told = [text for name, text in facts(record(stage.fresh(run), db_clock())) if name == "Engine"]
    assert len(told) == 1
    assert told[0].startswith("No engine worked on the run for 5 min")


def test_a_restart_in_good_order_is_not_told(stage: Stage) -> None:
    stage.start(stage.plan("app-01"))
    Pacemaker.objects.update_or_create(
        pk=1, defaults={"beat_at": db_clock() - timedelta(seconds=20), "until": None, "holder": None}
    )
    assert turn()
    assert not AuditEntry.objects.filter(verb="execution.unattended").exists()
