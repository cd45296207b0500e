"""Tokens of programs, and the right to make and revoke them, for administrators."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from identity.roles import sync


def make_roles(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    sync(apps)


class Migration(migrations.Migration):

    dependencies = [
        ('drsorch_site', '0005_switch_account'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='identity',
            options={'permissions': [('switch_account', 'Can switch accounts off and on'), ('manage_service_tokens', 'Can make and revoke tokens of programs')], 'verbose_name_plural': 'identities'},
        ),
        migrations.CreateModel(
            name='ServiceToken',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(db_index=True, max_length=64)),
                ('role', models.CharField(max_length=32)),
                ('hashed', models.CharField(max_length=64, unique=True)),
                ('created_by', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
                ('revoked_by', models.CharField(blank=True, max_length=254)),
                ('last_used_at', models.DateTimeField(help_text='Written at most once a minute', null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='service_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
