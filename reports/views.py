"""The report's page, and its downloads."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audit.request_actor import actor_for
from contract.errors import BadRequest, NotFound
from drsorch_verify.derive import span
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import Execution
from executions.states import ExecutionStatus, Kind, LaunchStatus, Reached, WaveStatus
from reports.documents.downloads import attachment, download
from reports.report_data import RecordShape
from reports.sentences import PLAN_COLUMNS, clock, ending, facts, gates, parts, plan, reached, would_launch
from reports.services import evidence, report


@require_safe
def execution_report(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The report as a page that prints well, or with `?format=` as a file. A run that is not over has its live page."""
    try:
        found = report(execution_id, timezone.now())
    except BadRequest:
        return redirect("execution", execution_id)
    except NotFound as error:
        raise Http404 from error
    wanted = request.GET.get("format", "")
    if wanted == "json":
        return attachment(JsonResponse(found).content, "application/json", f"report-{execution_id}.json")
    if wanted in ("csv", "pdf"):
        return download(found, wanted)
    live = Live(Execution.objects.with_waves().get(pk=execution_id))
    return render(request, "reports/report.html", {**_context(found), "timeline": Timeline(live, timezone.now())})


@require_POST
def execution_evidence(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The evidence pack as a download; making one is in the journal."""
    try:
        made = evidence(actor=actor_for(request), execution_id=execution_id)
    except BadRequest:
        return redirect("execution", execution_id)
    except NotFound as error:
        raise Http404 from error
    return attachment(made, "application/zip", f"evidence-{execution_id}.zip")


def _context(found: RecordShape) -> dict[str, Any]:
    return {
        "record": found,
        "state": ExecutionStatus.of(found["status"]),
        "purpose": Kind.of(found["executionType"]),
        "facts": facts(found),
        "gates": gates(found),
        "parts": parts(found["measured"]["split"]),
        "plan": [list(zip(PLAN_COLUMNS, row, strict=True)) for row in plan(found)],
        "ending": ending(found),
        "waves": [
            {
                "number": wave["waveNumber"] + 1,
                "name": wave["waveName"],
                "state": WaveStatus.of(wave["status"]),
                "took": span(wave["tookSeconds"]),
                "note": wave["statusMessage"],
                "servers": [_server(each) for each in wave["servers"]],
            }
            for wave in found["waves"]
        ],
        "journal": [(clock(each["time"]), each) for each in found["journal"]],
    }


def _server(server: Any) -> dict[str, Any]:
    up = server["rtoSeconds"]
    return {
        "name": server["hostname"],
        "instance": server["recoveryInstanceId"],
        "state": LaunchStatus.of(server["launchStatus"]),
        "would": would_launch(server["launchStatus"], server["findings"]),
        "up": "–" if up is None else span(up),
        "point": clock(server["pointInTime"]),
        "old": server["usedPreviousSnapshot"],
        "late": server["late"],
        "excluded": server["excluded"] and server["error"],
        "findings": [each["message"] for each in server["findings"]],
        "rpo": reached(server["rpo"]),
        "lag": span(server["lagSeconds"]) if server["lagSeconds"] else "",
        "missed": server["rpo"]["reached"] == Reached.MISSED,
    }
