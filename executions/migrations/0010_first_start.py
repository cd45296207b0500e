"""A retry is measured from the start of its first attempt, which may be deleted before it."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import OuterRef, Subquery


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    executions = apps.get_model("executions", "Execution")._base_manager.using(schema_editor.connection.alias)
    first = executions.filter(pk=OuterRef("first_attempt_id")).values("started_at")[:1]
    executions.filter(attempt__gt=1).update(first_started_at=Subquery(first))


class Migration(migrations.Migration):

    dependencies = [
        ("executions", "0009_sturdier"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="first_started_at",
            field=models.DateTimeField(help_text="Of a retry: when the first attempt was started", null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
