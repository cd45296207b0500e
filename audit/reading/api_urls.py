"""The addresses of the API for the journal, below /api/v1/."""

from django.urls import URLPattern

from audit.reading import api as audit
from contract.rest.views import route

urlpatterns: list[URLPattern] = [
    *route("audit-entries", audit.EntryList, "api-audit-entries"),
]
