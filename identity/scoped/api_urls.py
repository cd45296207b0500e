"""The addresses of the API for roles, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from identity.scoped import api

urlpatterns: list[URLPattern] = [
    *route("roles", api.Roles, "api-roles"),
    *route("roles/<str:role_id>", api.Role, "api-role"),
]
