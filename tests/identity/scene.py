"""What the addresses of the table of rights are about."""

from dataclasses import dataclass
from datetime import date, time

from audit.actor import SYSTEM
from drill_requests import services as drill_requests
from executions.models import Execution
from executions.states import ExecutionStatus, Kind
from findings import services as findings
from identity.models import ServiceClient
from identity.programs import service_tokens
from identity.scoped.services import give
from protection.journal import journal, state
from protection.models import ProtectionGroup
from schedules import services as schedules
from schedules.services import Wanted
from tests.console import world


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
        made = ProtectionGroup.objects.get(pk=group)
        journal(SYSTEM, "group.create", made, after=state(made))
        ids: dict[str, object] = {"execution_id": run.pk, "plan_id": run.plan_id, "group_id": group, "entry_id": 1}
        ids["version_number"] = 1
        ids["subscription_id"] = world.subscription().pk
        ids |= {"chapter": "runbook", "image": "dashboard.png"}
        ids |= {"wave": 1, "server": (at := run.waves.all()[1].servers.all()[0].source_server_id)}
        given = give(actor=SYSTEM, group="Payments", role="operator", label="app=payments")
        ids |= {"server_id": at, "role_id": given.pk, "account_id": "999988887777"}
        wanted = Wanted("FREQ=DAILY", date(2026, 1, 1), time(3), "UTC")
        assert run.plan_id
        ids["schedule_id"] = schedules.create(actor=SYSTEM, plan_id=run.plan_id, wanted=wanted).pk
        filed = findings.Wanted("Slow", "ann", "LOW")
        ids["finding_id"] = findings.file(actor=SYSTEM, wanted=filed, plan_id=run.plan_id).pk
        ids["token_id"] = service_tokens.create(actor=SYSTEM, name="nightly", role="viewer", days=1).row.pk
        asked = drill_requests.ask(actor=SYSTEM, plan_id=run.plan_id, reason="It is Tuesday.")
        ids["drill_request_id"] = asked.pk
        ids["service_client_id"] = client_of_a_program().pk
        return cls(ids, run)


def client_of_a_program() -> ServiceClient:
    """As there is one where people sign in through a provider."""
    made = service_tokens.create(actor=SYSTEM, name="pipeline", role="viewer", days=1).row
    return ServiceClient.objects.create(
        user=made.user, issuer="https://pool", client_id="1pipeline", name="pipeline", role="viewer",
        created_by="system", created_at=made.created_at,
    )  # fmt: skip
