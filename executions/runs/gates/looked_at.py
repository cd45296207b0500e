"""The state of a run that an approver looks at, and its digest: in the form that `drsorch_verify` derives as well."""

from collections import defaultdict
from typing import Any

from drsorch_verify import gates
from executions.models import Execution, ServerRun


def state_of(execution: Execution) -> dict[str, Any]:
    """The plan, and how all waves and servers are now. Two queries."""
    servers: dict[int, list[list[object]]] = defaultdict(list)
    rows = ServerRun.objects.filter(wave__execution=execution).order_by("wave_id", "source_server_id")
    columns = ("source_server_id", "launch_status", "recovery_instance_id", "recovery_instance_state", "excluded")
    for wave, server, status, instance, state, excluded in rows.values_list("wave_id", *columns):
        servers[wave].append([server, status, instance, state, excluded is not None])
    waves = execution.waves.order_by("number").values_list("pk", "number", "status", "attempt", "skipped")
    told = [(at, how, tries, gone is not None, servers[pk]) for pk, at, how, tries, gone in waves]
    return gates.state(execution.plan_copy, told)


def digest_of(execution: Execution) -> str:
    """The digest of that."""
    return gates.digest(state_of(execution))
