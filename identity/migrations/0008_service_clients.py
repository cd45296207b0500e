"""Clients of the identity provider that are programs."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('drsorch_site', '0007_scoped_roles'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ServiceClient',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('issuer', models.CharField(max_length=255)),
                ('client_id', models.CharField(max_length=128)),
                ('name', models.CharField(db_index=True, max_length=64)),
                ('role', models.CharField(max_length=32)),
                ('scope', models.CharField(blank=True, help_text='What its tokens must have; empty: nothing', max_length=256)),
                ('created_by', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
                ('revoked_by', models.CharField(blank=True, max_length=254)),
                ('last_used_at', models.DateTimeField(help_text='Written at most once a minute', null=True)),
                ('user', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='service_clients', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at', 'id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('issuer', 'client_id'), name='service_client_once')],
            },
        ),
    ]
