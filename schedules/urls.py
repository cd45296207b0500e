"""The addresses of the console for schedules."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from schedules import views

urlpatterns: list[URLPattern] = [
    page("schedules", views.schedule_list, "schedules", Shows.WHAT_ONE_SEES),
    page("schedules/new", views.schedule_new, "new-schedule", Shows.WHAT_ONE_SEES),
    page("schedules/<uuid:schedule_id>", views.schedule_edit, "edit-schedule", Shows.WHAT_ONE_SEES),
    page("schedules/<uuid:schedule_id>/delete", views.schedule_delete, "delete-schedule", Shows.WHAT_ONE_SEES),
]
