"""The addresses of the console for reports and evidence packs."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from reports import views as reports
from reports.comparing import views as comparing
from reports.history import views as history
from reports.ledger import views as ledger

urlpatterns: list[URLPattern] = [
    page("recovery-plans/<uuid:plan_id>/history", history.plan_history, "plan-history"),
    page("readiness-history", history.readiness_history, "readiness-history", Shows.WHAT_ONE_SEES),
    page("exercises", history.exercises, "exercises", Shows.WHAT_ONE_SEES),
    page("executions/compare", comparing.compare_runs, "compare-runs", Shows.WHAT_ONE_SEES),
    page("ledger", ledger.ledger_page, "ledger"),
    page("executions/<uuid:execution_id>/evidence", reports.execution_evidence, "evidence"),
    page("executions/<uuid:execution_id>/phases", history.run_phases, "run-phases"),
    page("executions/<uuid:execution_id>/report", reports.execution_report, "report"),
]
