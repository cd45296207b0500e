"""The runbook of a plan over HTTP."""

from django.http import HttpResponse
from rest_framework.request import Request

from contract.clock import db_clock
from contract.rest.schema import describes
from contract.rest.serializers import OneOf, StrictSerializer, read_query
from contract.rest.views import ApiView, read_id
from runbooks.forms import TYPES, made
from runbooks.runbook import runbook_of


class RunbookQuery(StrictSerializer):
    format = OneOf(choices=list(TYPES), required=False)


class RunbookView(ApiView):
    """The plan for the day on which this product is down."""

    @describes(
        "getRecoveryPlanRunbook",
        "How to run this plan by hand, with the AWS command line and console; HTML unless `format` says otherwise",
        answers={},
        query=RunbookQuery,
        files=["text/html", "application/pdf", "text/plain"],
        refusals=["NOT_FOUND"],
    )
    def get(self, request: Request, plan_id: str) -> HttpResponse:
        key, form = read_id(plan_id, "recovery plan", "planId"), read_query(request, RunbookQuery).get("format", "html")
        return HttpResponse(made(runbook_of(key), form, db_clock()), content_type=TYPES[form])
