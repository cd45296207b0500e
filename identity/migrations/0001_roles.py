"""Makes the roles."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from identity.roles import sync


def make_roles(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    sync(apps)


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("protection", "0001_initial"),
        ("plans", "0001_initial"),
        ("executions", "0001_initial"),
    ]
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
