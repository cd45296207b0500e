"""The addresses of the API for findings and sign-offs, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from findings import api

urlpatterns: list[URLPattern] = [
    *route("findings", api.FindingList, "api-findings"),
    *route("findings/<str:finding_id>", api.FindingDetail, "api-finding"),
    *route("findings/<str:finding_id>/close", api.FindingClosing, "api-finding-close"),
    *route("executions/<str:execution_id>/sign-offs", api.SignOffList, "api-execution-sign-offs"),
]
