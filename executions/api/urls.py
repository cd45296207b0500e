"""The addresses of the API for runs, below /api/v1/."""

from django.urls import URLPattern

from contract.rest.views import route
from executions.api import instances, job_logs, lease, points_in_time, readiness, retry, start, steering
from executions.api import views as executions
from executions.api.gates import views as gate

urlpatterns: list[URLPattern] = [
    *route("recovery-plans/<str:plan_id>/readiness", readiness.PlanReadinessView, "api-plan-readiness"),
    *route("recovery-plans/<str:plan_id>/points-in-time", points_in_time.PointsInTimeView, "api-plan-points-in-time"),
    *route("recovery-plans/<str:plan_id>/execute", start.PlanExecute, "api-plan-execute"),
    *route("recovery-instances", instances.Instances, "api-instances"),
    *route("recovery-instances/terminate", instances.EndInstances, "api-instances-terminate"),
    *route("executions", executions.ExecutionList, "api-executions"),
    *route("executions/<str:execution_id>", executions.ExecutionDetail, "api-execution"),
    *route("executions/<str:execution_id>/retry", retry.Retry, "api-execution-retry"),
    *route("executions/<str:execution_id>/waves/<str:wave>/skip", steering.SkipWave, "api-wave-skip"),
    *route("executions/<str:execution_id>/waves/<str:wave>/retry", steering.RetryWave, "api-wave-retry"),
    *route("executions/<str:execution_id>/waves/<str:wave>/start-now", steering.StartWaveNow, "api-wave-start-now"),
    *route("executions/<str:execution_id>/servers/<str:server>/exclude", steering.ExcludeServer, "api-server-exclude"),
    *route("executions/<str:execution_id>/resume", gate.Resume, "api-execution-resume"),
    *route("executions/<str:execution_id>/gate", gate.GateView, "api-execution-gate"),
    *route("executions/<str:execution_id>/approve", gate.Approve, "api-execution-approve"),
    *route("executions/<str:execution_id>/decline", gate.Decline, "api-execution-decline"),
    *route("executions/<str:execution_id>/cancel", executions.Cancel, "api-execution-cancel"),
    *route("executions/<str:execution_id>/lease", lease.Lease, "api-execution-lease"),
    *route("executions/<str:execution_id>/pause", executions.Pause, "api-execution-pause"),
    *route("executions/<str:execution_id>/abandon", executions.Abandon, "api-execution-abandon"),
    *route("executions/<str:execution_id>/terminate-instances", executions.Terminate, "api-execution-terminate"),
    *route("executions/<str:execution_id>/job-logs", job_logs.JobLogs, "api-execution-job-logs"),
]
