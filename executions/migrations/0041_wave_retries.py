from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0040_drill_overdue'),
    ]

    operations = [
        migrations.AddField(
            model_name='waverun',
            name='retries',
            field=models.JSONField(help_text='Of each retry, since when the run had waited for it, and its time', null=True),
        ),
    ]
