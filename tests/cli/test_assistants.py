"""`drsorch mcp` by the SDK's own client: a real process between an assistant and a real server."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from django.test import Client as Browser

from audit.models import AuditEntry
from executions.models import Execution, ServerRun
from tests.cli.conftest import Programs
from tests.cli.program import Program
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

READS = {
    "list_plans", "plan_readiness", "list_runs", "show_run", "run_report", "ledger", "events", "drill_request",
}  # fmt: skip
Answer = Any


def with_assistant(program: Program, work: Callable[[Any], Awaitable[None]], *options: str) -> None:
    """Have an assistant work with `drsorch mcp`."""
    from mcp import Client, StdioServerParameters, stdio_client  # not above: every process that collects would wait

    async def talk() -> None:
        arguments = ["-m", "drsorch_cli", "mcp", *options]
        process = StdioServerParameters(
            command=sys.executable, args=arguments, env=program.environment, cwd=program.folder
        )
        async with Client(stdio_client(process)) as assistant:
            await work(assistant)

    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(talk)


def test_it_looks_and_changes_nothing(stage: Stage, programs: Programs) -> None:
    plan = stage.plan("web-01", name="Payments")
    run = stage.until(stage.start(plan), "COMPLETED")

    async def work(assistant: Any) -> None:
        tools = (await assistant.list_tools()).tools
        assert {each.name for each in tools} == READS
        assert all(each.annotations.read_only_hint for each in tools)

        async def told(name: str, **given: object) -> Answer:
            answer = await assistant.call_tool(name, given)
            assert not answer.is_error, answer
            return answer.structured_content

        assert [each["planName"] for each in (await told("list_plans"))["plans"]] == ["Payments"]
        assert (await told("plan_readiness", plan="payments"))["planId"] == str(plan.pk)
        assert [each["runNumber"] for each in (await told("list_runs", plan="Payments"))["items"]] == [run.number]
        assert (await told("show_run", run=str(run.number)))["executionId"] == str(run.pk)
        assert (await told("run_report", run=str(run.pk)))["verdict"].startswith("Drill of “Payments”")
        assert (await told("ledger"))["plans"]
        assert (await told("ledger", account="999900001111"))["accountId"] == "999900001111"
        assert (await told("events", limit=5))["items"]
        refused = await assistant.call_tool("show_run", {"run": "4711"})
        assert refused.is_error
        assert "There is no run 4711" in refused.content[0].text
        unknown = await assistant.call_tool("request_drill", {"plan": "Payments", "reason": "Because."})
        assert unknown.is_error

    with_assistant(programs("viewer"), work)
    assert Execution.objects.count() == 1


def test_a_run_of_four_thousand_servers_is_told_in_parts(stage: Stage, programs: Programs) -> None:
    run = stage.until(stage.start(stage.plan("web-01", "web-02", name="Payments")), "COMPLETED")
    for wave in stage.waves(run):
        one = wave.servers.get()
        columns = [each.attname for each in ServerRun._meta.concrete_fields if not each.primary_key]
        kept = {each: getattr(one, each) for each in columns}
        ServerRun.objects.bulk_create(
            ServerRun(**{
                **kept, "position": number, "source_server_id": f"s-{wave.number}{number:016}",
                "hostname": f"host-{number}", "launch_status": "FAILED" if number == 1_999 else one.launch_status,
            })
            for number in range(1, 2_000)
        )  # fmt: skip

    async def work(assistant: Any) -> None:
        async def told(**given: object) -> Answer:
            answer = await assistant.call_tool("show_run", {"run": str(run.number), **given})
            assert not answer.is_error, answer
            assert len(answer.content[0].text) < 100_000
            assert len(json.dumps(answer.structured_content)) < 50_000
            return answer.structured_content

        whole = await told()
        assert [each["servers"] for each in whole["waves"]] == [{"LAUNCHED": 1_999, "FAILED": 1}] * 2
        assert [each["serverStatuses"][0]["hostname"] for each in whole["waves"]] == ["host-1999"] * 2
        cut = {each["part"]: each for each in whole["notShown"]["lists"]}
        part = cut["waves[1].serverStatuses"]
        assert (part["shown"], part["of"]) == (len(whole["waves"][1]["serverStatuses"]), 2_000)
        seen, skip = list(whole["waves"][1]["serverStatuses"]), part["shown"]
        while skip is not None:
            page = await told(part=part["part"], skip=skip)
            seen, skip = seen + page["items"], page["next"]
        assert len({each["sourceServerId"] for each in seen}) == len(seen) == 2_000
        assert (await told(part=part["part"], skip=9_999))["items"] == []
        wrong = await assistant.call_tool("show_run", {"run": str(run.number), "part": "waves[2].serverStatuses"})
        assert wrong.is_error
        assert "There are: waves[0].serverStatuses, waves[1].serverStatuses" in wrong.content[0].text

    with_assistant(programs("viewer"), work)


def test_it_asks_for_a_drill_and_a_person_starts_it(stage: Stage, programs: Programs) -> None:
    stage.plan("web-01", name="Payments")
    person = make_user("operator")
    seen: dict[str, Any] = {}

    def confirm(page: str) -> None:
        browser = Browser()
        browser.force_login(person)
        assert "service:test-viewer asks for a drill of Payments" in browser.get("/").text
        assert "“The last drill was in May.”" in browser.get(page).text
        seen["answer"] = browser.post(page, {"answer": "start"})
        seen["again"] = browser.post(page, {"answer": "start"})

    async def work(assistant: Any) -> None:
        asked = {"plan": "Payments", "reason": "The last drill was in May."}
        first = (await assistant.call_tool("request_drill", asked)).structured_content
        again = (await assistant.call_tool("request_drill", asked)).structured_content
        assert first == again
        assert first["status"] == "OPEN"
        seen["page"] = first["page"]
        path = "/" + first["page"].split("/", 3)[3]
        assert await anyio.to_thread.run_sync(Execution.objects.count) == 0
        await anyio.to_thread.run_sync(confirm, path)
        wanted = {"drill_request_id": first["drillRequestId"]}
        seen["end"] = (await assistant.call_tool("drill_request", wanted)).structured_content

    with_assistant(programs("viewer"), work, "--allow-start")
    run = Execution.objects.get()
    assert seen["page"].startswith("http://")
    assert seen["answer"]["Location"] == f"/executions/{run.pk}"
    assert "was confirmed" in seen["again"].text
    assert (seen["end"]["status"], seen["end"]["executionId"]) == ("STARTED", str(run.pk))
    assert (run.started_by, run.initiated_by) == (person.email, "service:test-viewer")
    entry = AuditEntry.objects.get(verb="drill_request.confirm", refused=False)
    assert (entry.actor, entry.detail["askedBy"]) == (person.email, "service:test-viewer")


def test_without_the_sdk_it_says_what_is_missing(programs: Programs, stage: Stage) -> None:
    program = programs("viewer")
    (program.folder / "mcp.py").write_text("raise ImportError")
    program.extra["PYTHONPATH"] = f"{program.folder}:{program.environment['PYTHONPATH']}"
    ended = program.run("mcp")
    assert (ended.code, "drsorch_cli[mcp]" in ended.err) == (2, True), ended
