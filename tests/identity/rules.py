"""Who may do what at which address: the whole table. A new address needs its line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from executions.models import Execution, ServerRun
from tests.console import world
from tests.identity.scene import Scene

ANYBODY = "anybody"  # without signing in
EVERYBODY = "everybody who is signed in"

ADD_GROUP, CHANGE_GROUP, DELETE_GROUP = (f"protection.{verb}_protectiongroup" for verb in ("add", "change", "delete"))
ADD_PLAN, CHANGE_PLAN, DELETE_PLAN = (f"plans.{verb}_recoveryplan" for verb in ("add", "change", "delete"))
DRILL, RECOVERY, CONTROL = "executions.start_drill", "executions.start_recovery", "executions.control_execution"
END_DRILL, END_RECOVERY = "executions.terminate_drill", "executions.terminate_recovery"
DELETE_RUNS = "executions.delete_execution"
ADD_SUB, CHANGE_SUB, DELETE_SUB = (f"notify.{verb}_subscription" for verb in ("add", "change", "delete"))
SWITCH_ACCOUNT, GIVE_ROLES = "drsorch_site.switch_account", "drsorch_site.give_roles"
TOKENS = "drsorch_site.manage_service_tokens"


@dataclass(frozen=True)
class Rule:
    """At one address, one method: the right that it takes."""

    name: str
    method: str
    right: str
    body: Callable[[Scene], Mapping[str, Any]] = field(default=lambda scene: {})
    scene: Callable[[], Scene] = Scene.paused
    query: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.name} {self.right.rpartition('.')[2]} {self.note}".strip()


def _group(scene: Scene) -> dict[str, Any]:
    return {"groupName": "New", "region": "us-east-1", "sourceServerIds": ["s-1"]}


def _plan(scene: Scene) -> dict[str, Any]:
    wave = {"name": "One", "protectionGroupIds": [str(scene.ids["group_id"])], "serverIds": ["s-1"]}
    return {"planName": "New", "waves": [wave]}


def _renamed(scene: Scene) -> dict[str, Any]:
    return {"description": "Changed"}


def _subscription(scene: Scene) -> dict[str, Any]:
    return {"name": "New", "channel": "SNS", "target": world.TOPIC, "events": ["PAUSED"]}


def _client(scene: Scene) -> dict[str, Any]:
    return {"clientId": "2client", "name": "other", "role": "viewer"}


def _asking(scene: Scene) -> dict[str, Any]:
    return {"planId": str(scene.ids["plan_id"]), "reason": "It is Tuesday."}


def _schedule(scene: Scene) -> dict[str, Any]:
    when = {"rule": "FREQ=DAILY", "startsOn": "2026-01-01", "time": "03:00", "timeZone": "UTC"}
    return {"planId": str(scene.ids["plan_id"]), **when}


def _finding(scene: Scene) -> dict[str, Any]:
    return {"planId": str(scene.ids["plan_id"]), "text": "Slow", "owner": "ann", "severity": "LOW"}


def _instances(scene: Scene) -> list[str]:
    rows = ServerRun.objects.filter(wave__execution=scene.run)
    return list(rows.exclude(recovery_instance_id="").values_list("recovery_instance_id", flat=True))


def _end(scene: Scene) -> dict[str, Any]:
    return {"recoveryInstanceIds": _instances(scene)}


def _because(scene: Scene) -> dict[str, Any]:
    return {"reason": "Its disk is broken."}


def _approval(scene: Scene) -> dict[str, Any]:
    return {"digest": "0" * 64}


def _tick(scene: Scene) -> dict[str, Any]:
    found = _instances(scene)
    kind = "production " if Execution.objects.get(pk=scene.run.pk).purpose.is_recovery else ""
    return {"instance": found, "confirm": f"terminate {kind}{len(found)}"}


def _end_runs(scene: Scene) -> dict[str, Any]:
    return {"run": [str(scene.run.pk)], "confirm": f"terminate {len(_instances(scene))}"}


def _label(of: str) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {of: [str(scene.ids[f"{of}_id"])], "label": "tier=1", "do": "set"}


def _start(kind: str) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"PlanId": str(scene.ids["plan_id"]), "ExecutionType": kind, "InitiatedBy": "x"}


def _execute(kind: str) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"ExecutionType": kind, "InitiatedBy": "x"}


API = [
    Rule("api-groups", "GET", EVERYBODY),
    Rule("api-groups", "POST", ADD_GROUP, _group),
    Rule("api-group", "GET", EVERYBODY),
    Rule("api-group", "PUT", CHANGE_GROUP, _renamed),
    Rule("api-group", "DELETE", DELETE_GROUP),
    Rule("api-source-servers", "GET", EVERYBODY, query="?region=us-east-1"),
    Rule("api-launch-settings", "GET", EVERYBODY),
    Rule("api-plans", "GET", EVERYBODY),
    Rule("api-plans", "POST", ADD_PLAN, _plan),
    Rule("api-plan", "GET", EVERYBODY),
    Rule("api-plan-readiness", "GET", EVERYBODY),
    Rule("api-plan", "PUT", CHANGE_PLAN, _renamed),
    Rule("api-plan", "DELETE", DELETE_PLAN),
    Rule("api-plan-execute", "POST", DRILL, _execute("DRILL")),
    Rule("api-plan-execute", "POST", RECOVERY, _execute("RECOVERY")),
    Rule("api-executions", "GET", EVERYBODY),
    Rule("api-executions", "POST", DRILL, _start("DRILL"), Scene.drilled),
    Rule("api-executions", "POST", RECOVERY, _start("RECOVERY"), Scene.drilled),
    Rule("api-executions", "POST", DRILL, lambda scene: {**_start("RECOVERY")(scene), "DryRun": True}, note="dry"),
    Rule("api-execution-retry", "POST", DRILL, scene=Scene.failed_drill),
    Rule("api-execution-retry", "POST", RECOVERY, scene=Scene.failed_recovery),
    Rule("api-executions", "DELETE", DELETE_RUNS),
    Rule("api-execution", "GET", EVERYBODY),
    Rule("api-execution", "DELETE", CONTROL),
    Rule("api-execution-resume", "POST", CONTROL),
    Rule("api-execution-resume", "POST", RECOVERY, scene=Scene.paused_recovery),
    Rule("api-wave-skip", "POST", CONTROL, _because),
    Rule("api-wave-skip", "POST", RECOVERY, _because, Scene.paused_recovery),
    Rule("api-execution-gate", "GET", EVERYBODY),
    Rule("api-execution-approve", "POST", CONTROL, _approval),
    Rule("api-execution-approve", "POST", RECOVERY, _approval, Scene.paused_recovery),
    Rule("api-execution-decline", "POST", CONTROL, _because),
    Rule("api-execution-decline", "POST", RECOVERY, _because, Scene.paused_recovery),
    Rule("api-execution-resume", "POST", RECOVERY, lambda scene: {"breakGlass": True, "reason": "x"}, note="glass"),
    Rule("api-wave-retry", "POST", CONTROL),
    Rule("api-wave-start-now", "POST", CONTROL),
    Rule("api-server-exclude", "POST", CONTROL, _because),
    Rule("api-doctor", "GET", SWITCH_ACCOUNT),
    Rule("api-execution-cancel", "POST", CONTROL),
    Rule("api-execution-pause", "POST", CONTROL),
    Rule("api-execution-pause", "POST", RECOVERY, scene=Scene.paused_recovery),
    Rule("api-execution-abandon", "POST", CONTROL),
    Rule("api-execution-terminate", "POST", END_DRILL, scene=Scene.drilled),
    Rule("api-execution-terminate", "POST", END_RECOVERY, scene=Scene.recovered),
    Rule("api-execution-lease", "POST", CONTROL, lambda scene: {"hours": 1, "comment": "x"}, Scene.drilled),
    Rule("api-instances", "GET", EVERYBODY),
    Rule("api-instances-terminate", "POST", END_DRILL, _end, Scene.drilled),
    Rule("api-instances-terminate", "POST", END_RECOVERY, _end, Scene.recovered),
    Rule("api-execution-job-logs", "GET", EVERYBODY),
    Rule("api-subscriptions", "GET", EVERYBODY),
    Rule("api-subscriptions", "POST", ADD_SUB, _subscription),
    Rule("api-subscription", "GET", EVERYBODY),
    Rule("api-subscription", "PUT", CHANGE_SUB, lambda scene: {"name": "Renamed"}),
    Rule("api-subscription", "DELETE", DELETE_SUB),
    Rule("api-subscription-test", "POST", CHANGE_SUB),
    Rule("api-deliveries", "GET", EVERYBODY),
    Rule("api-execution-evidence", "POST", EVERYBODY, scene=Scene.drilled),
    Rule("api-ledger", "GET", EVERYBODY),
    Rule("api-execution-report", "GET", EVERYBODY, scene=Scene.drilled),
    Rule("api-audit-entries", "GET", EVERYBODY),
    Rule("api-events", "GET", EVERYBODY),
    Rule("api-findings", "GET", EVERYBODY),
    Rule("api-findings", "POST", CONTROL, _finding, Scene.drilled),
    Rule("api-finding", "GET", EVERYBODY),
    Rule("api-finding", "PUT", CONTROL, lambda scene: {"owner": "bob"}),
    Rule("api-finding-close", "POST", CONTROL, lambda scene: {"reason": "Was none."}),
    Rule("api-execution-sign-offs", "GET", EVERYBODY),
    Rule("api-execution-sign-offs", "POST", CONTROL, lambda scene: {"lookedAt": "The report."}, Scene.drilled),
    Rule("api-schedules", "GET", EVERYBODY),
    Rule("api-schedules", "POST", DRILL, _schedule),
    Rule("api-schedule", "GET", EVERYBODY),
    Rule("api-schedule", "PUT", DRILL, lambda scene: {"time": "04:00"}),
    Rule("api-schedule", "DELETE", DRILL),
    Rule("api-service-tokens", "GET", TOKENS),
    Rule("api-service-tokens", "POST", TOKENS, lambda scene: {"name": "other", "role": "viewer", "days": 1}),
    Rule("api-service-token", "DELETE", TOKENS),
    Rule("api-drill-requests", "GET", EVERYBODY),
    Rule("api-drill-requests", "POST", EVERYBODY, _asking),
    Rule("api-drill-request", "GET", EVERYBODY),
    Rule("api-service-clients", "GET", TOKENS),
    Rule("api-service-clients", "POST", TOKENS, _client),
    Rule("api-service-client", "DELETE", TOKENS),
    Rule("api-plan-points-in-time", "GET", EVERYBODY),
    Rule("api-plan-runbook", "GET", EVERYBODY),
    Rule("api-configuration", "GET", EVERYBODY),
    Rule("api-configuration-diff", "POST", EVERYBODY, lambda scene: {"document": []}),
    Rule("api-configuration-apply", "POST", CHANGE_PLAN, lambda scene: {"document": [], "digest": "0"}),
    Rule("api-plan-native", "GET", EVERYBODY),
    Rule("api-plan-native", "POST", CHANGE_PLAN),
    Rule("api-native-plans", "GET", EVERYBODY, query="?region=us-east-1"),
    Rule("api-native-import", "POST", ADD_PLAN, lambda scene: {"arn": "none"}),
    Rule("api-accounts", "GET", SWITCH_ACCOUNT),
    Rule("api-accounts", "POST", SWITCH_ACCOUNT, lambda scene: {"accountId": "1"}),
    Rule("api-account", "GET", SWITCH_ACCOUNT),
    Rule("api-account", "PUT", SWITCH_ACCOUNT, lambda scene: {"name": "Renamed"}),
    Rule("api-account", "DELETE", SWITCH_ACCOUNT),
    Rule("api-account-check", "POST", SWITCH_ACCOUNT),
    Rule("api-roles", "GET", GIVE_ROLES),
    Rule("api-roles", "POST", GIVE_ROLES, lambda scene: {"group": "B", "role": "viewer", "label": "app=b"}),
    Rule("api-role", "DELETE", GIVE_ROLES),
    Rule("api-schema", "GET", EVERYBODY),
    Rule("api-docs", "GET", EVERYBODY),
]

_READ = (
    "dashboard dashboard-live groups group servers plans plan executions execution execution-live job-logs"
    " job-logs-live job-logs-text execution-rows run-news wave-rows engine-back settings shortcuts journal"
    " journal-entry session manual manual-chapter manual-image plan-wave-servers group-names"
    " start-drill start-recovery pause-execution resume-execution cancel-execution terminate-execution retry-execution"
    " delete-group delete-plan delete-subscription notifications password abandon-execution hide-executions"
    " approve-gate resume-gate decline-gate break-glass instances end-instances extend-lease"
)
CONSOLE = [
    *(Rule(name, "GET", EVERYBODY) for name in _READ.split()),
    Rule("session", "POST", EVERYBODY),
    Rule("password", "POST", EVERYBODY),
    Rule("evidence", "POST", EVERYBODY, scene=Scene.drilled),
    Rule("ledger", "GET", EVERYBODY),
    Rule("exercises", "GET", EVERYBODY),
    Rule("readiness-history", "GET", EVERYBODY),
    Rule("plan-history", "GET", EVERYBODY),
    Rule("run-phases", "GET", EVERYBODY, scene=Scene.drilled),
    Rule("compare-runs", "GET", EVERYBODY),
    Rule("compare-runs", "POST", EVERYBODY),
    Rule("report", "GET", EVERYBODY, scene=Scene.drilled),
    Rule("new-group", "GET", ADD_GROUP),
    Rule("new-group", "POST", ADD_GROUP),
    Rule("edit-group", "GET", CHANGE_GROUP),
    Rule("edit-group", "POST", CHANGE_GROUP),
    Rule("delete-group", "POST", DELETE_GROUP),
    Rule("new-plan", "GET", ADD_PLAN),
    Rule("new-plan", "POST", ADD_PLAN),
    Rule("edit-plan", "GET", CHANGE_PLAN),
    Rule("edit-plan", "POST", CHANGE_PLAN),
    Rule("delete-plan", "POST", DELETE_PLAN),
    Rule("new-subscription", "GET", ADD_SUB),
    Rule("new-subscription", "POST", ADD_SUB, _subscription),
    Rule("edit-subscription", "GET", CHANGE_SUB),
    Rule("edit-subscription", "POST", CHANGE_SUB, _subscription),
    Rule("test-subscription", "POST", CHANGE_SUB),
    Rule("delete-subscription", "POST", DELETE_SUB),
    Rule("start-drill", "POST", DRILL, scene=Scene.drilled),
    Rule("start-recovery", "POST", RECOVERY, lambda scene: {"name": scene.run.plan_name}, Scene.drilled),
    Rule("start-recovery", "POST", DRILL, lambda scene: {"dry_run": "1"}, note="dry"),
    Rule("retry-execution", "POST", DRILL, scene=Scene.failed_drill),
    Rule("retry-execution", "POST", RECOVERY, lambda scene: {"confirm": scene.run.plan_name}, Scene.failed_recovery),
    Rule("pause-execution", "POST", CONTROL),
    Rule("pause-execution", "POST", RECOVERY, scene=Scene.paused_recovery),
    Rule("abandon-execution", "POST", CONTROL),
    Rule("skip-wave", "POST", CONTROL, _because),
    Rule("approve-gate", "POST", CONTROL, _approval),
    Rule("resume-gate", "POST", CONTROL),
    Rule("decline-gate", "POST", CONTROL, _because),
    Rule("break-glass", "POST", RECOVERY, _because),
    Rule("retry-wave", "POST", CONTROL),
    Rule("start-wave-now", "POST", CONTROL),
    Rule("exclude-server", "POST", CONTROL, _because),
    Rule("configuration", "GET", EVERYBODY),
    Rule("configuration", "POST", EVERYBODY),
    Rule("export-configuration", "GET", EVERYBODY),
    Rule("search", "GET", EVERYBODY, query="?q=Pay"),
    Rule("server", "GET", EVERYBODY),
    Rule("plan-runbook", "GET", EVERYBODY),
    Rule("plan-native", "GET", EVERYBODY),
    Rule("plan-native", "POST", CHANGE_PLAN),
    Rule("native-plans", "GET", EVERYBODY),
    Rule("import-native-plan", "GET", ADD_PLAN),
    Rule("import-native-plan", "POST", ADD_PLAN),
    Rule("accounts", "GET", SWITCH_ACCOUNT),
    Rule("new-account", "GET", SWITCH_ACCOUNT),
    Rule("new-account", "POST", SWITCH_ACCOUNT),
    Rule("edit-account", "GET", SWITCH_ACCOUNT),
    Rule("edit-account", "POST", SWITCH_ACCOUNT),
    Rule("check-account", "POST", SWITCH_ACCOUNT),
    Rule("delete-account", "GET", SWITCH_ACCOUNT),
    Rule("delete-account", "POST", SWITCH_ACCOUNT),
    Rule("roles", "GET", GIVE_ROLES),
    Rule("roles", "POST", GIVE_ROLES),
    Rule("take-role", "GET", GIVE_ROLES),
    Rule("take-role", "POST", GIVE_ROLES),
    Rule("check", "GET", SWITCH_ACCOUNT),
    Rule("drill-request", "GET", EVERYBODY),
    Rule("drill-request", "POST", DRILL, lambda scene: {"answer": "start"}, Scene.drilled),
    Rule("drill-request", "POST", DRILL, lambda scene: {"answer": "decline"}, note="decline"),
    Rule("findings", "GET", EVERYBODY),
    Rule("new-finding", "GET", CONTROL),
    Rule("new-finding", "POST", CONTROL),
    Rule("edit-finding", "GET", CONTROL),
    Rule("edit-finding", "POST", CONTROL, lambda scene: {"text": "Slow", "owner": "bob", "severity": "LOW"}),
    Rule("close-finding", "GET", CONTROL),
    Rule("close-finding", "POST", CONTROL, lambda scene: {"reason": "Was none."}),
    Rule("sign-off", "GET", CONTROL, scene=Scene.drilled),
    Rule("sign-off", "POST", CONTROL, lambda scene: {"looked_at": "The report."}, Scene.drilled),
    Rule("schedules", "GET", EVERYBODY),
    Rule("new-schedule", "GET", DRILL),
    Rule("new-schedule", "POST", DRILL),
    Rule("edit-schedule", "GET", DRILL),
    Rule("edit-schedule", "POST", DRILL),
    Rule("delete-schedule", "GET", EVERYBODY),
    Rule("delete-schedule", "POST", DRILL),
    Rule("service-tokens", "GET", TOKENS),
    Rule("service-tokens", "POST", TOKENS, lambda scene: {"name": "other", "role": "viewer", "days": "1"}),
    Rule("revoke-service-token", "GET", TOKENS),
    Rule("revoke-service-token", "POST", TOKENS),
    Rule("new-service-client", "GET", TOKENS),
    Rule("new-service-client", "POST", TOKENS),
    Rule("revoke-service-client", "GET", TOKENS),
    Rule("revoke-service-client", "POST", TOKENS),
    Rule("first-steps", "GET", EVERYBODY),
    Rule("scan-regions", "POST", ADD_GROUP),
    Rule("accept-suggestion", "POST", ADD_PLAN),
    Rule("ignore-suggestion", "POST", EVERYBODY),
    Rule("drill-one", "POST", ADD_PLAN),
    Rule("resume-execution", "POST", CONTROL),
    Rule("cancel-execution", "POST", CONTROL),
    Rule("hide-executions", "POST", DELETE_RUNS),
    Rule("duplicate-plan", "GET", ADD_PLAN),
    Rule("duplicate-plan", "POST", ADD_PLAN, lambda scene: {"name": ""}),
    Rule("plan-versions", "GET", EVERYBODY),
    Rule("plan-version", "GET", EVERYBODY),
    Rule("plan-version", "POST", CHANGE_PLAN, lambda scene: {"seen": "9"}, Scene.drilled),
    Rule("group-versions", "GET", EVERYBODY),
    Rule("group-version", "GET", EVERYBODY),
    Rule("group-version", "POST", CHANGE_GROUP, lambda scene: {"seen": "9"}, Scene.drilled),
    Rule("terminate-runs", "GET", END_DRILL),
    Rule("terminate-runs", "POST", END_DRILL, _end_runs, Scene.drilled),
    Rule("drill-plans", "GET", DRILL),
    Rule("drill-plans", "POST", DRILL, lambda scene: {"plan": [str(scene.ids["plan_id"])]}),
    Rule("label-plans", "GET", CHANGE_PLAN),
    Rule("label-plans", "POST", CHANGE_PLAN, _label("plan"), Scene.drilled),
    Rule("label-groups", "GET", CHANGE_GROUP),
    Rule("label-groups", "POST", CHANGE_GROUP, _label("group"), Scene.drilled),
    Rule("extend-lease", "POST", CONTROL, lambda scene: {"hours": "1", "comment": "x"}, Scene.drilled),
    Rule("end-instances", "POST", END_DRILL, _tick, Scene.drilled),
    Rule("end-instances", "POST", END_RECOVERY, _tick, Scene.recovered),
    Rule("terminate-execution", "POST", END_DRILL, lambda scene: {"name": scene.run.plan_name}, Scene.drilled),
    Rule("terminate-execution", "POST", END_RECOVERY, lambda scene: {"name": scene.run.plan_name}, Scene.recovered),
]

# Rights that only the administration asks for: tests/identity/test_accounts.py.
ADMINISTRATION = {SWITCH_ACCOUNT}

# Each of these does its own check, or shows nothing of ours.
OPEN = {
    "favicon",
    "healthz",
    "readyz",
    "metrics",
    "sign-in",
    "sign-in-failed",
    "sign-out",
    "signed-out",
    "oidc-begin",
    "oidc-callback",
    "published",
    "theme",
}
NOWHERE = {"api-nothing"}  # every other address below /api/v1

# What addresses that name no plan, group, run or server show to who sees a part of the installation: a part, or nothing
# of these things. What stands in neither shows everything, and is closed to them.
SHOWS_A_PART = {
    "exercises", "readiness-history", "compare-runs",
    "dashboard", "dashboard-live", "groups", "servers", "plans", "executions", "execution-rows", "run-news",
    "terminate-runs", "drill-plans", "label-plans", "label-groups",
    "drill-request", "api-drill-request", "api-drill-requests",
    "schedules", "new-schedule", "edit-schedule", "delete-schedule", "api-schedules", "api-schedule",
    "findings", "new-finding", "edit-finding", "close-finding", "api-findings", "api-finding", "api-finding-close",
    "engine-back", "search", "instances", "end-instances", "new-group", "new-plan", "group-names", "api-groups",
    "api-source-servers", "api-plans", "api-executions", "api-instances", "api-instances-terminate",
    "api-native-import", "import-native-plan",
}  # fmt: skip
SHOWS_NOTHING = {
    "settings", "shortcuts", "manual", "manual-chapter", "manual-image", "session", "password", "api-schema",
    "api-docs",
}  # fmt: skip
CLOSED = {
    "journal", "journal-entry", "notifications", "new-subscription", "edit-subscription", "test-subscription",
    "delete-subscription", "hide-executions", "check", "first-steps", "scan-regions", "accept-suggestion",
    "ignore-suggestion", "drill-one", "roles", "take-role", "api-roles", "api-role", "api-doctor", "api-subscriptions",
    "api-subscription", "api-subscription-test", "api-deliveries", "api-audit-entries", "configuration",
    "export-configuration", "api-configuration", "api-configuration-diff", "api-configuration-apply", "service-tokens",
    "revoke-service-token", "api-service-tokens", "api-service-token", "new-service-client", "revoke-service-client",
    "api-service-clients", "api-service-client", "ledger",
    "api-ledger", "accounts", "new-account", "edit-account", "check-account", "delete-account", "api-accounts",
    "api-account", "api-account-check", "api-events", "api-native-plans", "native-plans",
}  # fmt: skip
