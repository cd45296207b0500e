"""Reports of large runs, kept as they were made."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('executions', '0028_place_refused_at'),
    ]

    operations = [
        migrations.CreateModel(
            name='MadeReport',
            fields=[
                ('execution', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='executions.execution')),
                ('state', models.CharField(blank=True, help_text='What everything that it says was read from', max_length=32)),
                ('asked_at', models.DateTimeField(help_text='When the engines were last asked to make it', null=True)),
                ('tries', models.PositiveIntegerField(default=0, help_text='How often they were asked since they last made it')),
                ('trouble', models.TextField(blank=True, help_text='Why it could not be made')),
                ('json', models.BinaryField(null=True)),
                ('document', models.BinaryField(null=True)),
                ('csv', models.BinaryField(null=True)),
                ('pdf', models.BinaryField(null=True)),
                ('page', models.BinaryField(null=True)),
            ],
        ),
    ]
