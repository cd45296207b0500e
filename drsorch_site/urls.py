"""Every address of the product."""

from typing import Any

from django.urls import URLPattern, URLResolver, include, path

from audit import views as audit
from drsorch_site import health, sign_in, views
from drsorch_site.middleware import signed_in
from executions import views as executions
from plans import views as plans
from protection import views as protection


def page(route: str, view: Any, name: str) -> URLPattern:
    """An address of the console; closed to strangers."""
    return path(route, signed_in(view), name=name)


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("drsorch_site.api_urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-in/failed", sign_in.sign_in_failed, name="sign-in-failed"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("signed-out", sign_in.signed_out, name="signed-out"),
    path("oidc/authenticate", sign_in.oidc_begin, name="oidc-begin"),
    path("oidc/callback", sign_in.oidc_callback, name="oidc-callback"),
    page("session", sign_in.session, "session"),
    path("theme", views.theme, name="theme"),
    page("", views.dashboard, "dashboard"),
    page("protection-groups", protection.group_list, "groups"),
    page("protection-groups/<uuid:group_id>", protection.group_detail, "group"),
    page("source-servers", protection.server_list, "servers"),
    page("recovery-plans", plans.plan_list, "plans"),
    page("recovery-plans/<uuid:plan_id>", plans.plan_detail, "plan"),
    page("recovery-plans/<uuid:plan_id>/start-drill", executions.drill_start, "start-drill"),
    page("executions", executions.execution_list, "executions"),
    page("executions/<uuid:execution_id>", executions.execution_detail, "execution"),
    page("executions/<uuid:execution_id>/live", executions.execution_live, "execution-live"),
    page("executions/<uuid:execution_id>/pause", executions.execution_pause, "pause-execution"),
    page("executions/<uuid:execution_id>/resume", executions.execution_resume, "resume-execution"),
    page("executions/<uuid:execution_id>/cancel", executions.execution_cancel, "cancel-execution"),
    page("journal", audit.entry_list, "journal"),
    page("journal/<int:entry_id>", audit.entry_detail, "journal-entry"),
]

# Under /api/ in the contract's shape, elsewhere Django's own with our templates.
handler400 = "contract.handlers.bad_request"
handler404 = "contract.handlers.page_not_found"
handler500 = "contract.handlers.server_error"
