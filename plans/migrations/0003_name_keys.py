"""Names are compared in NFKC. A plan whose new key another plan has keeps its own; `manage.py check` lists it."""

from typing import Any

from django.db import migrations

from contract.names import new_keys


def renew(apps: Any, schema_editor: Any) -> None:
    plans = apps.get_model("plans", "RecoveryPlan").objects.using(schema_editor.connection.alias)
    rows = plans.order_by("created_at", "id").values_list("pk", "name", "name_key")
    for pk, key in new_keys(rows.iterator()).items():
        plans.filter(pk=pk).update(name_key=key)


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0002_targets'),
    ]

    operations = [
        migrations.RunPython(renew, migrations.RunPython.noop),
    ]
