"""The addresses of the API for protection groups, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from protection import api as protection

urlpatterns: list[URLPattern] = [
    *route("protection-groups", protection.GroupList, "api-groups"),
    *route("protection-groups/<str:group_id>", protection.GroupDetail, "api-group"),
    *route("drs/source-servers", protection.SourceServers, "api-source-servers"),
]
