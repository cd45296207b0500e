"""Gives administrators the rights over subscriptions."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from identity.roles import sync


def make_roles(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    sync(apps)


class Migration(migrations.Migration):
    dependencies = [("drsorch_site", "0002_identity"), ("notify", "0001_initial")]
    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
