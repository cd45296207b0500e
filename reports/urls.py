"""The addresses of the console for reports and evidence packs."""

from django.urls import URLPattern

from console.page_access import page
from reports import views as reports

urlpatterns: list[URLPattern] = [
    page("executions/<uuid:execution_id>/evidence", reports.execution_evidence, "evidence"),
    page("executions/<uuid:execution_id>/report", reports.execution_report, "report"),
]
