"""Every address of the API, below /api/v1/."""

from django.urls import path, re_path

from audit.reading import api as audit
from contract.rest.views import NothingHere, route
from drsorch_site import schema
from console.signed_in import signed_in
from executions.api import views as executions
from executions.api import readiness
from executions.api import retry
from notify import api as notify
from plans import api as plans
from protection import api as protection
from reports import api as reports

docs = signed_in(schema.docs)

urlpatterns = [
    *route("protection-groups", protection.GroupList, "api-groups"),
    *route("protection-groups/<str:group_id>", protection.GroupDetail, "api-group"),
    *route("drs/source-servers", protection.SourceServers, "api-source-servers"),
    *route("recovery-plans", plans.PlanList, "api-plans"),
    *route("recovery-plans/<str:plan_id>", plans.PlanDetail, "api-plan"),
    *route("recovery-plans/<str:plan_id>/readiness", readiness.PlanReadinessView, "api-plan-readiness"),
    *route("recovery-plans/<str:plan_id>/execute", executions.PlanExecute, "api-plan-execute"),
    *route("executions", executions.ExecutionList, "api-executions"),
    *route("executions/<str:execution_id>", executions.ExecutionDetail, "api-execution"),
    *route("executions/<str:execution_id>/retry", retry.Retry, "api-execution-retry"),
    *route("executions/<str:execution_id>/resume", executions.Resume, "api-execution-resume"),
    *route("executions/<str:execution_id>/cancel", executions.Cancel, "api-execution-cancel"),
    *route("executions/<str:execution_id>/pause", executions.Pause, "api-execution-pause"),
    *route("executions/<str:execution_id>/abandon", executions.Abandon, "api-execution-abandon"),
    *route("executions/<str:execution_id>/terminate-instances", executions.Terminate, "api-execution-terminate"),
    *route("executions/<str:execution_id>/job-logs", executions.JobLogs, "api-execution-job-logs"),
    *route("notification-subscriptions", notify.SubscriptionList, "api-subscriptions"),
    *route("notification-subscriptions/<str:subscription_id>", notify.SubscriptionDetail, "api-subscription"),
    *route("notification-subscriptions/<str:subscription_id>/test", notify.SubscriptionTest, "api-subscription-test"),
    *route("notification-deliveries", notify.DeliveryList, "api-deliveries"),
    *route("executions/<str:execution_id>/report", reports.ExecutionReport, "api-execution-report"),
    *route("executions/<str:execution_id>/evidence", reports.ExecutionEvidence, "api-execution-evidence"),
    *route("audit-entries", audit.EntryList, "api-audit-entries"),
    *route("schema", schema.SchemaView, "api-schema"),
    path("docs", docs, name="api-docs"),
    path("docs/", docs),
    re_path(r"^.*$", NothingHere.as_view(), name="api-nothing"),
]
