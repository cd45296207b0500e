"""The addresses of the console for runs, and what pages of plans and servers show of them."""

from django.urls import URLPattern

from console.page_access import page
from executions.console import control_views as control
from executions.console import history_views as history
from executions.console import instance_views as instances
from executions.console import job_log_views as logs
from executions.console import lease_views as lease
from executions.console import list_update_views as rows
from executions.console import plan_views as plan_page
from executions.console import retry_views as retry_pages
from executions.console import run_views as executions
from executions.console import source_server_views as inventory
from executions.console import start_views as start
from executions.console import steering_views as steering

urlpatterns: list[URLPattern] = [
    page("source-servers", inventory.server_list, "servers"),
    page("recovery-plans/<uuid:plan_id>", plan_page.plan_detail, "plan"),
    page("recovery-plans/<uuid:plan_id>/waves/<int:wave>/servers", plan_page.plan_wave_servers, "plan-wave-servers"),
    page("recovery-plans/<uuid:plan_id>/start-drill", start.drill_start, "start-drill"),
    page("recovery-plans/<uuid:plan_id>/start-recovery", start.recovery_start, "start-recovery"),
    page("executions", executions.execution_list, "executions"),
    page("recovery-instances", instances.instance_list, "instances"),
    page("recovery-instances/terminate", instances.instances_end, "end-instances"),
    page("executions/hide", history.hide_finished, "hide-executions"),
    page("executions/rows", rows.execution_rows, "execution-rows"),
    page("executions/engine", rows.engine_back, "engine-back"),
    page("executions/<uuid:execution_id>", executions.execution_detail, "execution"),
    page("executions/<uuid:execution_id>/live", executions.execution_live, "execution-live"),
    page("executions/<uuid:execution_id>/pause", control.execution_pause, "pause-execution"),
    page("executions/<uuid:execution_id>/lease", lease.lease_extend, "extend-lease"),
    page("executions/<uuid:execution_id>/resume", control.execution_resume, "resume-execution"),
    page("executions/<uuid:execution_id>/waves/<int:wave>/rows", executions.wave_rows, "wave-rows"),
    page("executions/<uuid:execution_id>/waves/<int:wave>/skip", steering.wave_skip, "skip-wave"),
    page("executions/<uuid:execution_id>/waves/<int:wave>/retry", steering.wave_retry, "retry-wave"),
    page("executions/<uuid:execution_id>/waves/<int:wave>/start-now", steering.wave_start_now, "start-wave-now"),
    page("executions/<uuid:execution_id>/servers/<str:server>/exclude", steering.server_exclude, "exclude-server"),
    page("executions/<uuid:execution_id>/cancel", control.execution_cancel, "cancel-execution"),
    page("executions/<uuid:execution_id>/abandon", control.execution_abandon, "abandon-execution"),
    page("executions/<uuid:execution_id>/retry", retry_pages.execution_retry, "retry-execution"),
    page("executions/<uuid:execution_id>/terminate", control.execution_terminate, "terminate-execution"),
    page("executions/<uuid:execution_id>/job-logs", logs.job_logs, "job-logs"),
    page("executions/<uuid:execution_id>/job-logs/live", logs.job_logs_live, "job-logs-live"),
    page("executions/<uuid:execution_id>/job-logs.txt", logs.job_logs_text, "job-logs-text"),
]
