"""Who may do what at which address: the whole table. A new address needs its line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from executions.models import Execution, ServerRun
from executions.states import ExecutionStatus, Kind
from tests.console import world

ANYBODY = "anybody"  # without signing in
EVERYBODY = "everybody who is signed in"

ADD_GROUP, CHANGE_GROUP, DELETE_GROUP = (f"protection.{verb}_protectiongroup" for verb in ("add", "change", "delete"))
ADD_PLAN, CHANGE_PLAN, DELETE_PLAN = (f"plans.{verb}_recoveryplan" for verb in ("add", "change", "delete"))
DRILL, RECOVERY, CONTROL = "executions.start_drill", "executions.start_recovery", "executions.control_execution"
END_DRILL, END_RECOVERY = "executions.terminate_drill", "executions.terminate_recovery"
DELETE_RUNS = "executions.delete_execution"
ADD_SUB, CHANGE_SUB, DELETE_SUB = (f"notify.{verb}_subscription" for verb in ("add", "change", "delete"))
SWITCH_ACCOUNT = "drsorch_site.switch_account"


@dataclass
class Scene:
    """Something of everything, for addresses to be about."""

    ids: dict[str, object]
    run: Execution
    kind: Kind = Kind.DRILL

    @classmethod
    def paused(cls) -> "Scene":
        return cls._of(world.paused())

    @classmethod
    def paused_recovery(cls) -> "Scene":
        scene = cls.paused()
        Execution.objects.filter(pk=scene.run.pk).update(kind=Kind.RECOVERY)
        return scene

    @classmethod
    def drilled(cls) -> "Scene":
        return cls._of(world.ended(ExecutionStatus.COMPLETED))

    @classmethod
    def recovered(cls) -> "Scene":
        run = world.ended(ExecutionStatus.COMPLETED)
        Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
        return cls._of(run)

    @classmethod
    def failed_drill(cls) -> "Scene":
        return cls._of(world.ended(ExecutionStatus.PARTIAL, fail="no capacity"))

    @classmethod
    def failed_recovery(cls) -> "Scene":
        scene = cls.failed_drill()
        Execution.objects.filter(pk=scene.run.pk).update(kind=Kind.RECOVERY)
        return scene

    @classmethod
    def _of(cls, run: Execution) -> "Scene":
        assert run.plan
        group = run.plan.waves.all()[0].group_links.all()[0].group_id
        ids: dict[str, object] = {"execution_id": run.pk, "plan_id": run.plan_id, "group_id": group, "entry_id": 1}
        ids["subscription_id"] = world.subscription().pk
        ids |= {"wave": 1, "server": (at := run.waves.all()[1].servers.all()[0].source_server_id)}
        ids |= {"server_id": at}
        return cls(ids, run)


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


def _instances(scene: Scene) -> list[str]:
    rows = ServerRun.objects.filter(wave__execution=scene.run)
    return list(rows.exclude(recovery_instance_id="").values_list("recovery_instance_id", flat=True))


def _end(scene: Scene) -> dict[str, Any]:
    return {"recoveryInstanceIds": _instances(scene)}


def _because(scene: Scene) -> dict[str, Any]:
    return {"reason": "Its disk is broken."}


def _tick(scene: Scene) -> dict[str, Any]:
    found = _instances(scene)
    kind = "production " if Execution.objects.get(pk=scene.run.pk).purpose.is_recovery else ""
    return {"instance": found, "confirm": f"terminate {kind}{len(found)}"}


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
    Rule("api-wave-retry", "POST", CONTROL),
    Rule("api-wave-start-now", "POST", CONTROL),
    Rule("api-server-exclude", "POST", CONTROL, _because),
    Rule("api-doctor", "GET", SWITCH_ACCOUNT),
    Rule("api-execution-cancel", "POST", CONTROL),
    Rule("api-execution-pause", "POST", CONTROL),
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
    Rule("api-execution-report", "GET", EVERYBODY, scene=Scene.drilled),
    Rule("api-audit-entries", "GET", EVERYBODY),
    Rule("api-schema", "GET", EVERYBODY),
    Rule("api-docs", "GET", EVERYBODY),
]

_READ = (
    "dashboard dashboard-live groups group servers plans plan executions execution execution-live job-logs"
    " job-logs-live job-logs-text execution-rows wave-rows engine-back settings shortcuts journal journal-entry session"
    " start-drill start-recovery pause-execution resume-execution cancel-execution terminate-execution retry-execution"
    " delete-group delete-plan delete-subscription notifications password abandon-execution hide-executions"
    " instances end-instances extend-lease plan-wave-servers group-names"
)
CONSOLE = [
    *(Rule(name, "GET", EVERYBODY) for name in _READ.split()),
    Rule("session", "POST", EVERYBODY),
    Rule("password", "POST", EVERYBODY),
    Rule("evidence", "POST", EVERYBODY, scene=Scene.drilled),
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
    Rule("abandon-execution", "POST", CONTROL),
    Rule("skip-wave", "POST", CONTROL, _because),
    Rule("retry-wave", "POST", CONTROL),
    Rule("start-wave-now", "POST", CONTROL),
    Rule("exclude-server", "POST", CONTROL, _because),
    Rule("check", "GET", SWITCH_ACCOUNT),
    Rule("first-steps", "GET", EVERYBODY),
    Rule("scan-regions", "POST", ADD_GROUP),
    Rule("accept-suggestion", "POST", ADD_PLAN),
    Rule("ignore-suggestion", "POST", EVERYBODY),
    Rule("drill-one", "POST", ADD_PLAN),
    Rule("resume-execution", "POST", CONTROL),
    Rule("cancel-execution", "POST", CONTROL),
    Rule("hide-executions", "POST", DELETE_RUNS),
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
    "theme",
}
NOWHERE = {"api-nothing"}  # every other address below /api/v1
