"""The report of a finished run over HTTP: JSON, CSV or PDF."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import db_clock
from contract.schema import describes
from contract.serializers import OneOf, StrictSerializer, read_query
from contract.views import ApiView, read_id
from reports.downloads import download
from reports.record import RecordShape
from reports.services import report


class ReportQuery(StrictSerializer):
    format = OneOf(choices=["json", "csv", "pdf"], required=False)


class ExecutionReport(ApiView):
    """What a finished run did and achieved."""

    @describes(
        "getExecutionReport",
        "Get the report of a finished run, as JSON unless `format` says csv or pdf",
        answers={200: RecordShape},
        query=ReportQuery,
        refusals=["NOT_FOUND", "EXECUTION_STILL_RUNNING"],
    )
    def get(self, request: Request, execution_id: str) -> Response | HttpResponse:
        wanted = read_query(request, ReportQuery).get("format", "json")
        found = report(read_id(execution_id, "execution", "executionId"), db_clock())
        return Response(found) if wanted == "json" else download(found, wanted)
