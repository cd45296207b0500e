"""Every address of the product."""

from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from audit.reading import views as audit
from drsorch_site import health, metrics, dashboard as views
from identity import password, sign_in
from console.signed_in import signed_in
from executions.console import control_views as control
from executions.console import source_server_views as inventory
from executions.console import job_log_views as logs
from executions.console import plan_views as plan_page
from executions.console import retry_views as retry_pages
from executions.console import row_views as rows
from executions.console import start_views as start
from executions.console import run_views as executions
from notify import views as notify
from plans import plan_editor
from plans import views as plans
from protection import group_editor
from protection import views as protection
from reports import views as reports


def page(route: str, view: Any, name: str) -> URLPattern:
    """An address of the console; closed to strangers."""
    return path(route, signed_in(view), name=name)


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("drsorch_site.api_urls")),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-in/failed", sign_in.sign_in_failed, name="sign-in-failed"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("signed-out", sign_in.signed_out, name="signed-out"),
    path("oidc/authenticate", sign_in.oidc_begin, name="oidc-begin"),
    path("oidc/callback", sign_in.oidc_callback, name="oidc-callback"),
    page("session", sign_in.session, "session"),
    path("theme", views.theme, name="theme"),
    page("", views.dashboard, "dashboard"),
    page("live", views.dashboard_live, "dashboard-live"),
    page("protection-groups", protection.group_list, "groups"),
    page("protection-groups/new", group_editor.group_new, "new-group"),
    page("protection-groups/<uuid:group_id>", protection.group_detail, "group"),
    page("protection-groups/<uuid:group_id>/edit", group_editor.group_edit, "edit-group"),
    page("protection-groups/<uuid:group_id>/delete", group_editor.group_delete, "delete-group"),
    page("source-servers", inventory.server_list, "servers"),
    page("recovery-plans", plans.plan_list, "plans"),
    page("recovery-plans/new", plan_editor.plan_new, "new-plan"),
    page("recovery-plans/<uuid:plan_id>", plan_page.plan_detail, "plan"),
    page("recovery-plans/<uuid:plan_id>/edit", plan_editor.plan_edit, "edit-plan"),
    page("recovery-plans/<uuid:plan_id>/delete", plan_editor.plan_delete, "delete-plan"),
    page("recovery-plans/<uuid:plan_id>/start-drill", start.drill_start, "start-drill"),
    page("recovery-plans/<uuid:plan_id>/start-recovery", start.recovery_start, "start-recovery"),
    page("executions", executions.execution_list, "executions"),
    page("executions/rows", rows.execution_rows, "execution-rows"),
    page("executions/engine", rows.engine_back, "engine-back"),
    page("executions/<uuid:execution_id>", executions.execution_detail, "execution"),
    page("executions/<uuid:execution_id>/live", executions.execution_live, "execution-live"),
    page("executions/<uuid:execution_id>/pause", control.execution_pause, "pause-execution"),
    page("executions/<uuid:execution_id>/resume", control.execution_resume, "resume-execution"),
    page("executions/<uuid:execution_id>/cancel", control.execution_cancel, "cancel-execution"),
    page("executions/<uuid:execution_id>/abandon", control.execution_abandon, "abandon-execution"),
    page("executions/<uuid:execution_id>/retry", retry_pages.execution_retry, "retry-execution"),
    page("executions/<uuid:execution_id>/terminate", control.execution_terminate, "terminate-execution"),
    page("executions/<uuid:execution_id>/job-logs", logs.job_logs, "job-logs"),
    page("executions/<uuid:execution_id>/job-logs/live", logs.job_logs_live, "job-logs-live"),
    page("executions/<uuid:execution_id>/job-logs.txt", logs.job_logs_text, "job-logs-text"),
    page("executions/<uuid:execution_id>/evidence", reports.execution_evidence, "evidence"),
    page("executions/<uuid:execution_id>/report", reports.execution_report, "report"),
    page("settings", views.settings_page, "settings"),
    page("settings/password", password.password, "password"),
    page("settings/notifications", notify.subscription_list, "notifications"),
    page("settings/notifications/new", notify.subscription_new, "new-subscription"),
    page("settings/notifications/<uuid:subscription_id>", notify.subscription_edit, "edit-subscription"),
    page("settings/notifications/<uuid:subscription_id>/test", notify.subscription_test, "test-subscription"),
    page("settings/notifications/<uuid:subscription_id>/delete", notify.subscription_delete, "delete-subscription"),
    page("shortcuts", views.shortcuts, "shortcuts"),
    path("admin/", admin.site.urls),
    page("journal", audit.entry_list, "journal"),
    page("journal/<int:entry_id>", audit.entry_detail, "journal-entry"),
]

# Under /api/ in the contract's shape, elsewhere Django's own with our templates.
handler400 = "contract.handlers.bad_request"
handler403 = "contract.handlers.permission_denied"
handler404 = "contract.handlers.page_not_found"
handler500 = "contract.handlers.server_error"
