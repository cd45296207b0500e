"""The addresses of the API for schedules, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from schedules import api

urlpatterns: list[URLPattern] = [
    *route("schedules", api.ScheduleList, "api-schedules"),
    *route("schedules/<str:schedule_id>", api.ScheduleDetail, "api-schedule"),
]
