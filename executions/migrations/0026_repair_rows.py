"""Rows that the constraints of the next migration would not take, as no release is known to write them."""

from datetime import UTC, datetime

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

TOLD = ["PENDING", "STARTED", "COMPLETED"]
FINAL = ["COMPLETED", "FAILED", "SKIPPED"]
NEVER = datetime(9000, 1, 1, tzinfo=UTC)  # as before: nobody looks at it


def repair(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    def rows(name: str) -> "object":
        return apps.get_model("executions", name).objects.using(schema_editor.connection.alias)

    executions, waves, jobs, servers, terminations = map(
        rows, ("Execution", "WaveRun", "LaunchJob", "ServerRun", "TerminationJob")
    )
    executions.filter(ended_at=None, next_step_at=None).update(next_step_at=NEVER)
    run = executions.filter(pk=OuterRef("execution"))
    ended = Coalesce(Subquery(run.values("ended_at")), F("started_at"), Subquery(run.values("started_at")))
    waves.filter(status__in=FINAL, ended_at=None).update(ended_at=ended)
    waves.exclude(status__in=FINAL).exclude(ended_at=None).update(ended_at=None)
    paused = waves.filter(status="PAUSED")
    first = paused.filter(execution=OuterRef("execution")).order_by("number").values("number")[:1]
    second = list(paused.annotate(first=Subquery(first)).exclude(number=F("first")).values_list("pk", flat=True))
    waves.filter(pk__in=second).update(status="PENDING")
    told_without_id = jobs.filter(status__in=TOLD, job_id="")
    told_without_id.filter(wave__status__in=FINAL).update(status="WITHDRAWN", watched=False)
    told_without_id.update(status="INITIATED", watched=False)
    jobs.exclude(Q(status__in=TOLD) | Q(job_id="")).update(status="PENDING", watched=True)
    terminations.filter(status__in=TOLD, job_id="").update(status="REJECTED", watched=False)
    terminations.exclude(Q(status__in=TOLD) | Q(job_id="")).update(status="PENDING", watched=True)
    wave = waves.filter(pk=OuterRef("wave"))
    up = Coalesce(Subquery(wave.values("ended_at")), Subquery(wave.values("started_at")), Subquery(wave.values("execution__started_at")))
    servers.filter(launch_status="LAUNCHED", launched_at=None).update(launched_at=up)


class Migration(migrations.Migration):
    dependencies = [("executions", "0025_places")]

    operations = [migrations.RunPython(repair, migrations.RunPython.noop)]
