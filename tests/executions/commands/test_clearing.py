"""Bulk delete forgets nothing that stands: what a run launched is guarded and found by its rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import control
from executions.models import Execution
from executions.states import ExecutionStatus, Kind
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.both


def entries() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(verb="execution.delete", outcome="ok").order_by("id"))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.field("B2")
def test_it_keeps_what_stands_and_says_so(stage: Stage, kind: Kind) -> None:
    run = stage.until(stage.start(stage.plan("app-01 app-02"), kind), "COMPLETED")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    idle = stage.start(stage.plan("web-01"))
    control.cancel(actor=SYSTEM, execution_id=idle.pk)
    admin = Api(make_user("admin"))
    kept = [{"executionId": str(run.pk), "reason": "2 instances still stand. Terminate first, then delete."}]
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 2, "kept": kept}
    deleted, noted = entries()
    assert deleted.detail == {"executionIds": [str(idle.pk)]}
    assert noted.detail == {"changed": False, "kept": kept}
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    told = answer(admin.delete("/executions"))
    assert [each["reason"] for each in told["kept"]] == ["AWS is terminating its instances."]
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 1, "kept": []}


@pytest.mark.field("B1")
def test_a_recovery_is_guarded_although_everything_that_could_be_was_deleted(stage: Stage) -> None:
    plan = stage.plan("app-01")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    answer(Api(make_user("admin")).delete("/executions"))
    operator = Api(make_user("operator"))
    told = operator.post("/executions", {"planId": str(plan.pk), "executionType": "DRILL"})
    (named,) = refusal(told, 403, "FORBIDDEN")["instances"]
    assert named["launchedBy"].endswith(str(run.pk))


def test_twenty_runs_that_stand_cost_no_more_queries_than_one(db: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            control.delete_finished(actor=SYSTEM)
        return len(asked)

    first = world.ended(ExecutionStatus.COMPLETED)
    few = queries()
    copies = [world.ended(ExecutionStatus.COMPLETED).pk for _ in range(19)]
    assert queries() == few
    assert Execution.objects.filter(pk__in=[first.pk, *copies]).count() == 20
