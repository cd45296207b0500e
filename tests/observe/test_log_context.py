"""Log lines say which request, run and wave they are about, wherever they were written."""

import json
import logging
from typing import Any

import pytest

from contract import log_context
from drsorch_site.configuration.logs import JsonLines
from tests.console import world
from tests.support.api_client import Api
from tests.support.stage import Stage


class Lines(logging.Handler):
    """Formats each record at once, where it was logged, as a real handler does."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Any:
    handler = Lines()
    loggers = [logging.getLogger(name) for name in ("", "botocore")]
    levels = [each.level for each in loggers]
    loggers[0].addHandler(handler)
    for each in loggers:
        each.setLevel("DEBUG")
    yield handler
    loggers[0].removeHandler(handler)
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


def test_lines_of_the_engine_name_run_and_wave(stage: Stage, lines: Lines) -> None:
    first, second = stage.plan("app-01", "web-01"), stage.plan("db-primary-01")
    runs = [stage.start(first), stage.start(second)]
    for run in runs:
        stage.until(run, "COMPLETED")
    sent = [each for each in lines.told if each.get("journal", {}).get("verb") == "launch.sent"]
    assert {(each["execution_id"], each["wave"]) for each in sent} == {
        (str(runs[0].pk), 0),
        (str(runs[0].pk), 1),
        (str(runs[1].pk), 0),
    }
    for each in lines.told:
        journal = each.get("journal", {})
        if journal.get("actor") == "engine":
            assert each.get("execution_id") == journal["subject_id"], each
    threads = {
        (each["execution_id"], each["wave"])
        for each in lines.told
        if each["logger"].startswith("botocore") and "StartRecovery" in each["message"] and "execution_id" in each
    }
    assert threads == {(str(runs[0].pk), 0), (str(runs[0].pk), 1), (str(runs[1].pk), 0)}
    assert log_context.current() == {}


@pytest.mark.django_db(transaction=True)
def test_lines_of_a_request_name_it_and_the_run(admin: Api, lines: Lines) -> None:
    run = world.paused()
    admin.post(f"/executions/{run.pk}/resume", {}, X_Request_ID="r-42")
    (resumed,) = [each for each in lines.told if each.get("journal", {}).get("verb") == "execution.resume"]
    assert resumed["journal"]["request_id"] == "r-42"
    handled = [each for each in lines.told if each.get("request_id") == "r-42"]
    assert any(each.get("execution_id") == str(run.pk) for each in handled)
    assert log_context.current() == {}


def test_what_is_noted_stays_with_the_work_that_is_taken_up_again() -> None:
    about: dict[str, object] = {}
    with log_context.bound(request_id="r-1"):
        with log_context.bound(about):
            log_context.note(execution_id="e-1")
        assert log_context.current() == {"request_id": "r-1"}
    with log_context.bound(about):
        assert log_context.current() == {"request_id": "r-1", "execution_id": "e-1"}
    log_context.note(lost="x")
    assert log_context.current() == {}
