"""The addresses of the API for configuration documents, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from documents import api as documents

urlpatterns: list[URLPattern] = [
    *route("configuration", documents.Configuration, "api-configuration"),
    *route("configuration/diff", documents.ConfigurationDiff, "api-configuration-diff"),
    *route("configuration/apply", documents.ConfigurationApply, "api-configuration-apply"),
]
