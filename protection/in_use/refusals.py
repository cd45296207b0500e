"""What keeps a group from being changed or deleted: plans and runs that use it, and its servers."""

import uuid
from collections.abc import Iterable
from typing import Any

from contract.errors import Conflict
from protection.models import ProtectionGroup, ServerAssignment


def refuse_active(group: ProtectionGroup) -> None:
    if found := active_use(group):
        raise found


def active_use(group: ProtectionGroup) -> Conflict | None:
    """The refusal to change or delete a group while runs use it (PG_IN_ACTIVE_EXECUTION), or None.

    Runs are asked for by name: they live above this room. A retry may hold servers that its plan names no more.
    """
    of_plans = group.waves.filter(plan__executions__isnull=False, plan__executions__ended_at=None)
    of_holds = group.assignments.filter(hold__isnull=False)
    found = sorted({*_runs(of_plans, "plan__executions"), *_runs(of_holds, "hold__execution")})
    if not found:
        return None
    return Conflict(
        "PG_IN_ACTIVE_EXECUTION",
        f"“{group.name}” is part of a run of “{found[0][2]}”. Change or delete it after the run.",
        details={
            "executions": [
                {"executionId": str(pk), "planId": plan_id and str(plan_id), "planName": plan, "status": status}
                for pk, plan_id, plan, status in found
            ]
        },
    )


def _runs(rows: Any, run: str) -> Iterable[tuple[uuid.UUID, uuid.UUID | None, str, str]]:
    columns = ("pk", "plan_id", "plan_name", "status")
    found: Iterable[tuple[uuid.UUID, uuid.UUID | None, str, str]] = (
        rows.order_by().values_list(*(f"{run}__{column}" for column in columns)).distinct()
    )
    return found


def refuse_used(server_ids: Iterable[str]) -> None:
    """Refuse to take servers away that a plan's wave names."""
    used = (
        ServerAssignment.objects.filter(source_server_id__in=list(server_ids), wave_servers__isnull=False)
        .order_by("source_server_id", "wave_servers__plan__name_key")
        .values_list(
            "source_server_id",
            "wave_servers__plan__pk",
            "wave_servers__plan__name",
            "wave_servers__wave__number",
            "wave_servers__wave__name",
        )
    )
    found = [
        {"serverId": each, "planId": str(plan_id), "planName": plan, "waveNumber": number, "waveName": wave}
        for each, plan_id, plan, number, wave in used
    ]
    if found:
        first, number = found[0], used[0][3]
        raise Conflict(
            "SERVER_IN_USE_BY_PLAN",
            f"{first['serverId']} is in wave {number + 1} of “{first['planName']}”. Remove it from the plan first.",
            details={"plans": found},
        )


def refuse_planned(group: ProtectionGroup) -> None:
    waves = group.waves.order_by("plan__name_key", "number").values_list("plan__pk", "plan__name", "name", "number")
    found = [
        {"planId": str(plan_id), "planName": plan, "waveName": wave, "waveNumber": number}
        for plan_id, plan, wave, number in waves
    ]
    if found:
        names = "”, “".join(dict.fromkeys(str(each["planName"]) for each in found))
        raise Conflict(
            "PG_IN_USE",
            f"“{group.name}” is used by “{names}”. Remove it from the plan or delete the plan first.",
            details={"plans": found},
        )
