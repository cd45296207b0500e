"""The addresses of the console for runs, and what pages of plans and servers show of them."""

from django.urls import URLPattern

from console.page_access import page
from contract.rights import Shows
from executions.console import control_views as control
from executions.console import history_views as history
from executions.console import instance_views as instances
from executions.console import job_log_views as logs
from executions.console import lease_views as lease
from executions.console import list_update_views as rows
from executions.console import plan_views as plan_page
from executions.console import retry_views as retry_pages
from executions.console import run_news
from executions.console import run_views as executions
from executions.console import steering_views as steering
from executions.console.choosing import cleanups, drills
from executions.console.finding import plan_list as listed_plans
from executions.console.finding import search as searching
from executions.console.finding import server_list as inventory
from executions.console.finding import server_page
from executions.console.gates import views as gates
from executions.console.starting import start_views as start

urlpatterns: list[URLPattern] = [
    page("search", searching.search, "search", Shows.WHAT_ONE_SEES),
    page("source-servers", inventory.server_list, "servers", Shows.WHAT_ONE_SEES),
    page("source-servers/<str:server_id>", server_page.server_detail, "server", Shows.WHAT_ONE_SEES),
    page("recovery-plans", listed_plans.plan_list, "plans", Shows.WHAT_ONE_SEES),
    page("recovery-plans/drills", drills.drills_start, "drill-plans", Shows.WHAT_ONE_SEES),
    page("recovery-plans/<uuid:plan_id>", plan_page.plan_detail, "plan"),
    page("recovery-plans/<uuid:plan_id>/waves/<int:wave>/servers", plan_page.plan_wave_servers, "plan-wave-servers"),
    page("recovery-plans/<uuid:plan_id>/start-drill", start.drill_start, "start-drill"),
    page("recovery-plans/<uuid:plan_id>/start-recovery", start.recovery_start, "start-recovery"),
    page("executions", executions.execution_list, "executions", Shows.WHAT_ONE_SEES),
    page("recovery-instances", instances.instance_list, "instances", Shows.WHAT_ONE_SEES),
    page("recovery-instances/terminate", instances.instances_end, "end-instances", Shows.WHAT_ONE_SEES),
    page("executions/terminate", cleanups.runs_terminate, "terminate-runs", Shows.WHAT_ONE_SEES),
    page("executions/hide", history.hide_finished, "hide-executions"),
    page("executions/rows", rows.execution_rows, "execution-rows", Shows.WHAT_ONE_SEES),
    page("executions/news", run_news.run_news, "run-news", Shows.WHAT_ONE_SEES),
    page("executions/engine", rows.engine_back, "engine-back", Shows.WHAT_ONE_SEES),
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
    page("executions/<uuid:execution_id>/gate/approve", gates.gate_approve, "approve-gate"),
    page("executions/<uuid:execution_id>/gate/resume", gates.gate_resume, "resume-gate"),
    page("executions/<uuid:execution_id>/gate/decline", gates.gate_decline, "decline-gate"),
    page("executions/<uuid:execution_id>/gate/break", gates.gate_break, "break-glass"),
    page("executions/<uuid:execution_id>/cancel", control.execution_cancel, "cancel-execution"),
    page("executions/<uuid:execution_id>/abandon", control.execution_abandon, "abandon-execution"),
    page("executions/<uuid:execution_id>/retry", retry_pages.execution_retry, "retry-execution"),
    page("executions/<uuid:execution_id>/terminate", control.execution_terminate, "terminate-execution"),
    page("executions/<uuid:execution_id>/job-logs", logs.job_logs, "job-logs"),
    page("executions/<uuid:execution_id>/job-logs/live", logs.job_logs_live, "job-logs-live"),
    page("executions/<uuid:execution_id>/job-logs.txt", logs.job_logs_text, "job-logs-text"),
]
