"""The addresses of the console for drills that were asked for."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from drill_requests import views

urlpatterns: list[URLPattern] = [
    page("drill-requests/<uuid:drill_request_id>", views.drill_request, "drill-request", Shows.WHAT_ONE_SEES),
]
