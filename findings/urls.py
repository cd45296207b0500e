"""The addresses of the console for findings and sign-offs."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from findings import views

urlpatterns: list[URLPattern] = [
    page("findings", views.finding_list, "findings", Shows.WHAT_ONE_SEES),
    page("findings/new", views.finding_new, "new-finding", Shows.WHAT_ONE_SEES),
    page("findings/<uuid:finding_id>", views.finding_edit, "edit-finding", Shows.WHAT_ONE_SEES),
    page("findings/<uuid:finding_id>/close", views.finding_close, "close-finding", Shows.WHAT_ONE_SEES),
    page("executions/<uuid:execution_id>/sign-off", views.sign_off, "sign-off"),
]
