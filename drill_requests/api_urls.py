"""The addresses of the API for drills that were asked for, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from drill_requests import api

urlpatterns: list[URLPattern] = [
    *route("drill-requests", api.DrillRequestList, "api-drill-requests"),
    *route("drill-requests/<str:drill_request_id>", api.DrillRequestDetail, "api-drill-request"),
]
