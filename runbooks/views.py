"""The runbook of a plan as a page that prints well, and its files."""

import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.asked import wanted_file
from contract.clock import db_clock
from reports.documents.downloads import attachment
from runbooks.forms import TYPES, made
from runbooks.runbook import runbook_of


@require_safe
def plan_runbook(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """With `?format=` a file to keep elsewhere: the page is of no use on the day on which it is needed."""
    runbook, form = runbook_of(plan_id), wanted_file(request, TYPES)
    if form:
        return attachment(made(runbook, form, db_clock()), TYPES[form], f"runbook-{plan_id}.{form}")
    return render(request, "runbooks/plan_runbook.html", {"runbook": runbook})
