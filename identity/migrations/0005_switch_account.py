"""The right to switch accounts off and on, for administrators."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from identity.roles import sync


def make_roles(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    sync(apps)


class Migration(migrations.Migration):
    dependencies = [("drsorch_site", "0004_grant")]
    operations = [
        migrations.AlterModelOptions(
            name="identity",
            options={
                "verbose_name_plural": "identities",
                "permissions": [("switch_account", "Can switch accounts off and on")],
            },
        ),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
