"""The console's addresses of runbooks."""

from django.urls import URLPattern

from console.page_access import page
from runbooks.views import plan_runbook

urlpatterns: list[URLPattern] = [page("recovery-plans/<uuid:plan_id>/runbook", plan_runbook, "plan-runbook")]
