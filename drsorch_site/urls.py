"""Every address of the product."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from console.page_access import page
from contract.rights import Shows
from drsorch_site import dashboard, health, metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("drsorch_site.api_urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("identity.urls")),
    path("favicon.ico", dashboard.favicon, name="favicon"),
    path("theme", dashboard.theme, name="theme"),
    page("", dashboard.dashboard, "dashboard", Shows.WHAT_ONE_SEES),
    page("live", dashboard.dashboard_live, "dashboard-live", Shows.WHAT_ONE_SEES),
    path("", include("protection.urls")),
    path("", include("executions.console.urls")),
    path("", include("plans.urls")),
    path("", include("reports.urls")),
    page("settings", dashboard.settings_page, "settings", Shows.NOTHING),
    path("", include("doctor.urls")),
    path("", include("schedules.urls")),
    path("", include("drill_requests.urls")),
    path("", include("findings.urls")),
    path("", include("documents.urls")),
    path("", include("native_plans.urls")),
    path("", include("runbooks.urls")),
    path("", include("notify.urls")),
    path("", include("accounts.urls")),
    path("", include("manual.urls")),
    page("shortcuts", dashboard.shortcuts, "shortcuts", Shows.NOTHING),
    path("admin/", admin.site.urls),
    path("", include("audit.reading.urls")),
]

# Under /api/ in the contract's shape, elsewhere Django's own with our templates.
handler400 = "contract.rest.handlers.bad_request"
handler403 = "contract.rest.handlers.permission_denied"
handler404 = "contract.rest.handlers.page_not_found"
handler500 = "contract.rest.handlers.server_error"
