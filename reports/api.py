"""The report of a finished run over HTTP: JSON, CSV or PDF."""

import uuid

from django.http import HttpResponse
from rest_framework.request import Request

from audit.request_actor import actor_for
from contract.clock import db_clock
from contract.rest.schema import describes
from contract.rest.serializers import NothingIn, OneOf, StrictSerializer, read_body, read_query
from contract.rest.views import ApiView, read_id
from executions.codes.ours import Code
from executions.models import Execution
from reports.documents.downloads import KINDS, attachment, download, name_of
from reports.made.forms import Form
from reports.report_data import RecordShape
from reports.services import document, evidence, require_made


class ReportQuery(StrictSerializer):
    format = OneOf(choices=["json", "csv", "pdf"], required=False)


class ExecutionReport(ApiView):
    """What a finished run did and achieved."""

    @describes(
        "getExecutionReport",
        "Get the report of a finished run, as JSON unless `format` says csv or pdf",
        answers={200: RecordShape},
        query=ReportQuery,
        files=["text/csv", "application/pdf"],
        refusals=["NOT_FOUND", Code.EXECUTION_STILL_RUNNING, Code.REPORT_BEING_MADE],
    )
    def get(self, request: Request, execution_id: str) -> HttpResponse:
        form, run = Form(read_query(request, ReportQuery).get("format", "json")), _id(execution_id)
        made = document(run, form, db_clock())
        if form is Form.JSON:
            return HttpResponse(made, content_type=KINDS[form])
        return download(made, form, Execution.objects.get(pk=run))


class ExecutionEvidence(ApiView):
    """The proof of a finished run."""

    @describes(
        "makeExecutionEvidence",
        "Create the evidence pack of a finished run, a ZIP file that anybody can verify offline",
        answers={},
        files=["application/zip"],
        body=NothingIn,
        refusals=["NOT_FOUND", Code.EXECUTION_STILL_RUNNING, Code.REPORT_BEING_MADE],
    )
    def post(self, request: Request, execution_id: str) -> HttpResponse:
        read_body(request, NothingIn)
        run = _id(execution_id)
        require_made(run, db_clock())
        made = evidence(actor=actor_for(request), execution_id=run)
        return attachment(made, "application/zip", name_of("evidence", Execution.objects.get(pk=run), "zip"))


def _id(text: str) -> uuid.UUID:
    return read_id(text, "execution", "executionId")
