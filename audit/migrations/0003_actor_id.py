"""Who somebody is, beside what they are called. Null in entries that are there: they are sealed without it. Nullable
also because SQLite can add such a column without making the table, and its triggers, anew."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("audit", "0002_append_only")]

    operations = [
        migrations.AddField(
            "auditentry",
            "actor_id",
            models.CharField(max_length=520, null=True, help_text="Who it is, however called: subject and issuer at the provider, or the local account"),
        ),
    ]
