"""The addresses of the API for protection groups, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from protection import api as protection
from protection.server_api import LaunchSettingsView

urlpatterns: list[URLPattern] = [
    *route("protection-groups", protection.GroupList, "api-groups"),
    *route("protection-groups/<str:group_id>", protection.GroupDetail, "api-group"),
    *route("drs/source-servers", protection.SourceServers, "api-source-servers"),
    *route("drs/source-servers/<str:server_id>/launch-settings", LaunchSettingsView, "api-launch-settings"),
]
