"""Finished runs are hidden from now on. Before, they were deleted: nothing brings those back, but the journal says once
how many they were, and in which of its entries they are."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

LISTED = 100


def tell(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    entries = apps.get_model("audit", "AuditEntry").objects.using(schema_editor.connection.alias)
    deletions = entries.filter(verb="execution.delete", outcome="ok", refused=False).order_by("pk")
    found = [(entry.pk, entry.at, len(entry.detail.get("executionIds", []))) for entry in deletions]
    found = [each for each in found if each[2]]
    if not found:
        return
    runs = sum(count for _, _, count in found)
    entries.create(
        actor="system",
        actor_id="",
        actor_kind="system",
        verb="execution.deleted_before",
        subject_kind="execution",
        subject_id="finished",
        detail={
            "runs": runs,
            "firstTime": int(found[0][1].timestamp()),
            "lastTime": int(found[-1][1].timestamp()),
            "entries": [pk for pk, _, _ in found[:LISTED]],
            "text": f"{runs} finished runs were deleted before runs were hidden instead. They cannot be brought back."
            " What they launched and still runs is listed by DRS alone, under Recovery instances.",
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("executions", "0017_hidden_runs"),
        ("audit", "0004_seal_mark"),
    ]

    operations = [migrations.RunPython(tell, migrations.RunPython.noop)]
