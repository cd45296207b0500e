"""The page and the report of a run tell the same of what went wrong: each failure with its own code and reason."""

from executions.codes.ours import Code
from executions.console.live_page.page_content import Live
from executions.models import Execution
from reports.services import report
from tests.support.still import StillStage


def test_each_server_has_its_own_code_and_reason_on_page_and_report(still: StillStage) -> None:
    """One server is gone from DRS and another fails at AWS: the code of the first was every server's in the report."""
    run = still.start(still.plan("app-01 app-02 app-03"))
    still.simulator.delete_servers("app-02")
    still.simulator.scenario("launch_failed", servers=["app-03"], raw_error="Something nobody has read before")
    still.until(run, "PARTIAL", "FAILED", step=15)
    record = report(run.pk, still.clock())
    told = {each["where"]: each for each in record["failures"]}
    assert told["app-02"]["code"] == Code.SERVER_GONE
    assert (told["app-02"]["meaning"], told["app-02"]["advice"]) == (Code.SERVER_GONE.meaning, Code.SERVER_GONE.advice)
    assert told["app-03"]["code"] == Code.SERVER_LAUNCH_FAILED
    assert told["app-03"]["meaning"] == "AWS gave no reason that is known here."

    page = {each.what: each for each in Live(Execution.objects.with_waves().get(pk=run.pk)).problems}
    assert {name: each.text for name, each in page.items()} == {name: each["text"] for name, each in told.items()}
    # The wave is told first, so the reason stands there, once.
    assert str(Code.SERVER_GONE.explanation) in [each.advice for each in page.values()]
    assert (page["app-02"].code, page["app-03"].code) == (Code.SERVER_GONE, "")


def test_a_run_that_nobody_resumed_says_so_on_both(still: StillStage) -> None:
    run = still.start(still.plan("app-01", "web-01", pause={1}))
    still.until(run, "PAUSED", step=15)
    still.advance(31_536_000 + 60)
    still.until(run, "PARTIAL", step=15)
    (failure,) = report(run.pk, still.clock())["failures"]
    (problem,) = Live(Execution.objects.with_waves().get(pk=run.pk)).problems
    assert (failure["where"], failure["code"], failure["text"]) == (problem.what, problem.code, problem.text)
    assert failure["text"] == failure["meaning"] == Code.PAUSE_EXPIRED.meaning
    assert failure["advice"] == problem.advice == Code.PAUSE_EXPIRED.advice
