"""The addresses of the API for the journal, below /api/v1/."""

from django.urls import URLPattern

from audit.reading import api as audit
from audit.reading import events
from contract.rest.views import route

urlpatterns: list[URLPattern] = [
    *route("events", events.EventList, "api-events"),
    *route("audit-entries", audit.EntryList, "api-audit-entries"),
]
