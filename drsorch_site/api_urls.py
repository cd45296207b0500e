"""Every address of the API, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from console.page_access import signed_in
from contract.rest.views import NothingHere, route
from contract.rights import Shows
from drsorch_site import schema

docs = signed_in(schema.docs, Shows.NOTHING)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("accounts.api_urls")),
    path("", include("protection.api_urls")),
    path("", include("plans.api_urls")),
    path("", include("executions.api.urls")),
    path("", include("notify.api_urls")),
    path("", include("reports.api_urls")),
    path("", include("audit.reading.api_urls")),
    path("", include("doctor.api_urls")),
    path("", include("schedules.api_urls")),
    path("", include("drill_requests.api_urls")),
    path("", include("findings.api_urls")),
    path("", include("identity.programs.api_urls")),
    path("", include("documents.api_urls")),
    path("", include("identity.scoped.api_urls")),
    path("", include("native_plans.api_urls")),
    path("", include("runbooks.api_urls")),
    *route("schema", schema.SchemaView, "api-schema"),
    path("docs", docs, name="api-docs"),
    path("docs/", docs),
    re_path(r"^.*$", NothingHere.as_view(), name="api-nothing"),
]
