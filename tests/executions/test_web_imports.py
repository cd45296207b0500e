"""What a web process loads: the pages and the REST API, and nothing of the engine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.tasks import async_task

from tests.support.stage import Stage

ROOT = Path(__file__).resolve().parent.parent.parent
STARTED_WEB_PROCESS = "import json, sys, drsorch_site.wsgi; print(json.dumps(sorted(sys.modules)))"
ENGINE = ("executions.engine", "executions.launching", "executions.tasks", "django_q.cluster")
ELSEWHERE = ("drs_simulator", "moto", "hypothesis")

# As they stand in the queues and schedules of installations that are upgraded.
STORED_NAMES = ("executions.tasks.step", "executions.tasks.beat", "executions.tasks.revive")
STORED_BROKERS = ("executions.brokers.Redis", "executions.brokers.Sqs")


def test_a_web_process_has_no_engine_in_it() -> None:
    """What gunicorn imports, with every view loaded; DRS's client is there for the few live checks."""
    command = [sys.executable, "-c", STARTED_WEB_PROCESS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    modules: list[str] = json.loads(done.stdout)
    assert "executions.console.run_views" in modules
    assert "drs.client" in modules
    assert [each for each in modules if each.startswith((*ENGINE, *ELSEWHERE))] == []


def test_a_task_enqueued_by_the_release_before_advances_its_run(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    OrmQ.objects.all().delete()
    async_task("executions.tasks.step", str(run.pk), q_options={"save": False, "sync": True})
    assert stage.fresh(run).status == "POLLING"
    assert len(stage.launches()) == 1


@pytest.mark.parametrize("name", [*STORED_NAMES, *STORED_BROKERS])
def test_names_that_are_stored_lead_somewhere(name: str) -> None:
    assert callable(import_string(name))


@pytest.mark.django_db
def test_tables_and_migrations_of_sign_in_keep_their_names() -> None:
    """They were made by `drsorch_site`, before people got a room of their own."""
    assert {"drsorch_site_identity", "drsorch_site_grant"} <= set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'drsorch_site'")
        assert ("0004_grant",) in cursor.fetchall()
