"""The report of a finished run over HTTP: JSON, CSV or PDF."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock
from contract.rest.schema import describes
from contract.rest.serializers import OneOf, StrictSerializer, read_body, read_query
from contract.rest.views import ApiView, read_id
from executions.codes.ours import Code
from reports.documents.downloads import attachment, download
from reports.report_data import RecordShape
from reports.services import evidence, report


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
        refusals=["NOT_FOUND", Code.EXECUTION_STILL_RUNNING],
    )
    def get(self, request: Request, execution_id: str) -> Response | HttpResponse:
        wanted = read_query(request, ReportQuery).get("format", "json")
        found = report(read_id(execution_id, "execution", "executionId"), db_clock())
        return Response(found) if wanted == "json" else download(found, wanted)


class NothingIn(StrictSerializer):
    """A body without fields."""


class ExecutionEvidence(ApiView):
    """The proof of a finished run."""

    @describes(
        "makeExecutionEvidence",
        "Create the evidence pack of a finished run, a ZIP file that anybody can verify offline",
        answers={},
        files=["application/zip"],
        body=NothingIn,
        refusals=["NOT_FOUND", Code.EXECUTION_STILL_RUNNING],
    )
    def post(self, request: Request, execution_id: str) -> HttpResponse:
        read_body(request, NothingIn)
        run = read_id(execution_id, "execution", "executionId")
        made = evidence(actor=actor_for(request), execution_id=run)
        return attachment(made, "application/zip", f"evidence-{run}.zip")
