"""Numbers for the runs that there are, in the order in which they were started."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

AT_ONCE = 500


def number(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    using = schema_editor.connection.alias
    runs = apps.get_model("executions", "Execution").objects.using(using)
    numbers = apps.get_model("executions", "RunNumber").objects.using(using)
    while ids := list(runs.filter(number=None).order_by("started_at", "id").values_list("pk", flat=True)[:AT_ONCE]):
        for each in ids:
            runs.filter(pk=each).update(number=numbers.create(execution_id=each).pk)


class Migration(migrations.Migration):
    dependencies = [("executions", "0035_run_numbers")]

    operations = [migrations.RunPython(number, migrations.RunPython.noop)]
