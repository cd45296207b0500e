"""The report's page, and its downloads."""

import uuid

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST, require_safe

from audit.request_actor import actor_for
from console.asked import wanted_file
from console.pages import HtmxHttpRequest, wants_fragment
from contract.clock import db_clock
from contract.errors import BadRequest, NotFound
from executions.models import Execution
from reports.documents.downloads import attachment, download, name_of
from reports.made.forms import Form
from reports.made.keeping import BeingMade
from reports.services import document, evidence, require_made


@require_safe
def execution_report(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The report as a page that prints well, or with `?format=` as a file. A run that is not over has its live page."""
    wanted = wanted_file(request, ("json", "csv", "pdf"))
    form = Form(wanted) if wanted else Form.PAGE
    try:
        made = document(execution_id, form, db_clock())
    except BadRequest:
        return redirect("execution", execution_id)
    except NotFound as error:
        raise Http404 from error
    except BeingMade as wait:
        if form is not Form.PAGE:
            return redirect("report", execution_id)
        return _being_made(request, execution_id, wait)
    execution = Execution.objects.get(pk=execution_id)
    if form is not Form.PAGE:
        return download(made, form, execution)
    body = mark_safe(made.decode())  # noqa: S308  (what our template made)
    waited = wants_fragment(request)
    context = {"execution": execution, "body": body, "is_poll": waited}
    return render(request, "reports/_made.html" if waited else "reports/report.html", context)


@require_POST
def execution_evidence(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The evidence pack as a download; making one is in the journal."""
    try:
        require_made(execution_id, db_clock())
        made = evidence(actor=actor_for(request), execution_id=execution_id)
    except BeingMade:
        return redirect("report", execution_id)
    except BadRequest:
        return redirect("execution", execution_id)
    except NotFound as error:
        raise Http404 from error
    run = Execution.objects.get(pk=execution_id)
    return attachment(made, "application/zip", name_of("evidence", run, "zip"))


def _being_made(request: HtmxHttpRequest, execution_id: uuid.UUID, wait: BeingMade) -> HttpResponse:
    """Why it is not there; the page asks again while it is coming."""
    context = {"execution": Execution.objects.get(pk=execution_id), "wait": wait}
    template = "reports/_being_made.html" if request.htmx else "reports/being_made.html"
    return render(request, template, context)
