"""A database as the first migrations made it, with rows in every table that matters; or a look at what became of them.

python -m tests.keep.first_version make|check
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import django

OURS = ("audit", "protection", "plans", "executions", "drsorch_site")
BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    first = [node for node in executor.loader.graph.root_nodes() if node[0] in OURS]
    executor.migrate(first)
    apps = executor.loader.project_state(first).apps
    fill(lambda app, name: apps.get_model(app, name).objects)


def fill(rows: Any) -> None:
    entry = {"actor": "ada", "actor_kind": "person", "verb": "execution.start", "subject_kind": "execution"}
    rows("audit", "AuditEntry").create(**entry, subject_id="1")
    group = rows("protection", "ProtectionGroup").create(name="Old", name_key="old", region="us-east-1", owner="ada")
    server = rows("protection", "ServerAssignment").create(
        group=group, source_server_id="s-1111111111111111a", position=0
    )
    plan = rows("plans", "RecoveryPlan").create(name="Old plan", name_key="old plan", owner="ada")
    wave = rows("plans", "Wave").create(plan=plan, number=0, name="Tier")
    rows("plans", "WaveServer").create(plan=plan, wave=wave, assignment=server, position=0)
    for status, ended in (("COMPLETED", BEGUN), ("PAUSED", None)):
        run = rows("executions", "Execution").create(
            plan=plan, plan_name="Old plan", kind="DRILL", status=status, total_waves=1, initiated_by="ada",
            started_by="ada", ended_at=ended, started_at=BEGUN,
        )  # fmt: skip
        done = rows("executions", "WaveRun").create(execution=run, number=0, name="Tier", status=status)
        job = rows("executions", "LaunchJob").create(wave=done, position=0, account_id="1", region="us-east-1")
        rows("executions", "ServerRun").create(
            wave=done, job=job, position=0, source_server_id="s-1111111111111111a", hostname="old-01"
        )
        rows("executions", "TerminationJob").create(
            execution=run, account_id="1", region="us-east-1", status="COMPLETED", job_id="drsjob-1", requested_by="ada"
        )


def check() -> None:
    from audit.models import AuditEntry
    from audit.sealing import verify
    from executions.models import Execution, ServerRun, TerminationJob
    from plans.models import RecoveryPlan

    told = {
        "runs": sorted(Execution.objects.with_waves().values_list("plan_name", "status")),
        "servers": list(ServerRun.objects.values_list("hostname", flat=True)),
        "terminations": list(TerminationJob.objects.values_list("job_id", "status")),
        "began": sorted({each.started_at.isoformat() for each in Execution.objects.all()}),
        "plans": [each.waves.get().name for each in RecoveryPlan.objects.all()],
        "entries": list(AuditEntry.objects.values_list("actor", "verb")),
        "journal": verify().problem,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    django.setup()
    {"make": make, "check": check}[sys.argv[1]]()
