"""The page and the report of a run tell the same of what went wrong: each failure with its own code and reason."""

import re

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from contract.clock import unix
from executions.codes.ours import Code
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.measuring.time_parts import Part
from executions.models import Execution, ServerRun
from executions.states import ExecutionStatus
from reports.documents.pdf import as_pdf
from reports.services import report
from tests.console import world
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
    assert [each.advice for each in page.values() if each.advice] == [Code.SERVER_GONE.advice]
    assert Code.SERVER_GONE.meaning in [sentence for each in page.values() for sentence in (each.text, each.meaning)]
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


def test_one_cause_is_told_once_on_page_and_paper(still: StillStage, client: Client) -> None:
    """Forty servers failed for one reason, and the report told it forty times."""
    run = world.ended(ExecutionStatus.FAILED, "Payments", sizes=(1, 40))
    struck = list(ServerRun.objects.filter(wave__execution=run, wave__number=1).order_by("position"))
    for each in struck:
        text = f"InsufficientInstanceCapacity: none for {each.source_server_id}, request 5f0{each.position:02}c2a-11aa"
        ServerRun.objects.filter(pk=each.pk).update(launch_status="FAILED", error=text)
    client.force_login(User.objects.create_user("viewer"))
    html = client.get(reverse("report", args=[run.pk])).content.decode()
    told = re.sub(
        r"\s+", " ", re.sub("<[^>]+>", " ", html.partition('id="failures-title"')[2].partition("</section>")[0])
    )
    assert told.count("no free machine") == told.count("In full") == 1
    assert f"Wave 2, {', '.join(each.hostname for each in struck[:5])} and 35 more, listed below" in told

    record = report(run.pk, still.clock())
    assert len(record["failures"]) == 40  # the document has each by itself
    all_of_them = as_pdf(record)
    record["failures"] = record["failures"][:1]
    assert all_of_them.count(b"/Type /Page\n") == as_pdf(record).count(b"/Type /Page\n") > 0


def test_the_time_of_a_wave_went_on_the_same_on_page_and_report(still: StillStage) -> None:
    """The page drew when the first server entered each phase, the report counted the way of the one that came last."""
    still.simulator.scenario("slow_server", servers=["app-02"], factor=3)
    run = still.until(still.start(still.plan("app-01 app-02")), "COMPLETED", step=15)
    (wave,) = report(run.pk, still.clock())["waves"]
    (row,) = Timeline(Live(Execution.objects.with_jobs().get(pk=run.pk)), still.clock()).rows
    drawn = {each.label: unix(each.to) - unix(each.since) for each in row.phases if each.to}
    assert drawn == {Part(name).words: seconds for name, seconds in wave["split"].items() if seconds}
    assert sum(drawn.values()) == wave["tookSeconds"]
