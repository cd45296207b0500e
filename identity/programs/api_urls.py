"""The addresses of the API for tokens and clients of programs, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from identity.programs import api, client_api

urlpatterns: list[URLPattern] = [
    *route("service-tokens", api.ServiceTokens, "api-service-tokens"),
    *route("service-tokens/<str:token_id>", api.ServiceTokenDetail, "api-service-token"),
    *route("service-clients", client_api.ServiceClients, "api-service-clients"),
    *route("service-clients/<str:service_client_id>", client_api.ServiceClientDetail, "api-service-client"),
]
