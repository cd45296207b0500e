"""The addresses of the API for reports and evidence packs, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from reports import api as reports
from reports.ledger import api as ledger

urlpatterns: list[URLPattern] = [
    *route("ledger", ledger.LedgerView, "api-ledger"),
    *route("executions/<str:execution_id>/report", reports.ExecutionReport, "api-execution-report"),
    *route("executions/<str:execution_id>/evidence", reports.ExecutionEvidence, "api-execution-evidence"),
]
