"""Roles for labels and accounts, and the right to give them, for administrators."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from identity.roles import sync


def make_roles(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    sync(apps)


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('drsorch_site', '0006_service_tokens'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='identity',
            options={'permissions': [('switch_account', 'Can switch accounts off and on'), ('manage_service_tokens', 'Can make and revoke tokens of programs'), ('give_roles', 'Can give roles for labels and accounts')], 'verbose_name_plural': 'identities'},
        ),
        migrations.CreateModel(
            name='ScopedRole',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('viewer', 'viewer'), ('planner', 'planner'), ('operator', 'operator'), ('recovery-manager', 'recovery-manager')], max_length=32)),
                ('account_id', models.CharField(blank=True, max_length=12)),
                ('key', models.CharField(blank=True, max_length=63)),
                ('value', models.CharField(blank=True, max_length=255)),
                ('made_by', models.CharField(max_length=254)),
                ('made_at', models.DateTimeField()),
                ('group', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='scoped_roles', to='auth.group')),
            ],
            options={
                'ordering': ['group__name', 'role', 'account_id', 'key', 'value'],
                'indexes': [models.Index(fields=['key', 'value'], name='scope_label')],
                'constraints': [models.UniqueConstraint(fields=('group', 'role', 'account_id', 'key', 'value'), name='scoped_role_once'), models.CheckConstraint(condition=models.Q(models.Q(('account_id', ''), ('key', ''), _connector='OR'), models.Q(('account_id', ''), ('key', ''), _negated=True)), name='scope_is_label_or_account')],
            },
        ),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
    ]
