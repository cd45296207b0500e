"""The addresses of the API for recovery plans, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from plans import api as plans

urlpatterns: list[URLPattern] = [
    *route("recovery-plans", plans.PlanList, "api-plans"),
    *route("recovery-plans/<str:plan_id>", plans.PlanDetail, "api-plan"),
]
