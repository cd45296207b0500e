"""The addresses of the API for runbooks, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from runbooks.api import RunbookView

urlpatterns: list[URLPattern] = [
    *route("recovery-plans/<str:plan_id>/runbook", RunbookView, "api-plan-runbook"),
]
