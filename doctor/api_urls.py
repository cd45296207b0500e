"""The address of the API for the check, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from doctor import api as doctor

urlpatterns: list[URLPattern] = [*route("doctor", doctor.DoctorView, "api-doctor")]
