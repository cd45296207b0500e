"""Names are compared in NFKC. A group whose new key another group has keeps its own; `manage.py check` lists it."""

from typing import Any

from django.db import migrations

from contract.names import new_keys


def renew(apps: Any, schema_editor: Any) -> None:
    groups = apps.get_model("protection", "ProtectionGroup").objects.using(schema_editor.connection.alias)
    rows = groups.order_by("created_at", "id").values_list("pk", "name", "name_key")
    for pk, key in new_keys(rows.iterator()).items():
        groups.filter(pk=pk).update(name_key=key)


class Migration(migrations.Migration):

    dependencies = [
        ('protection', '0003_recovery_instances'),
    ]

    operations = [
        migrations.RunPython(renew, migrations.RunPython.noop),
    ]
