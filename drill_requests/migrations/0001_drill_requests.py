"""Drills that were asked for."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('executions', '0037_gates'),
        ('plans', '0008_gates'),
    ]

    operations = [
        migrations.CreateModel(
            name='DrillRequest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dry_run', models.BooleanField(default=False)),
                ('reason', models.CharField(max_length=500)),
                ('asked_by', models.CharField(max_length=254)),
                ('asked_at', models.DateTimeField(db_index=True)),
                ('expires_at', models.DateTimeField()),
                ('outcome', models.CharField(choices=[('OPEN', 'Waits for a person'), ('STARTED', 'Started'), ('DECLINED', 'Declined'), ('EXPIRED', 'Expired')], default='OPEN', max_length=8)),
                ('decided_by', models.CharField(blank=True, max_length=254)),
                ('decided_at', models.DateTimeField(null=True)),
                ('execution', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='executions.execution')),
                ('plan', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='drill_requests', to='plans.recoveryplan')),
            ],
            options={
                'ordering': ['-asked_at', 'id'],
                'indexes': [models.Index(condition=models.Q(('outcome', 'OPEN')), fields=['expires_at'], name='drill_request_open')],
            },
        ),
    ]
