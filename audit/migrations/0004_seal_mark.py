"""The count of seals, which shows when the journal is cut at its end. A version before does not know it: what that
seals is counted by the next seal of this one."""

from django.db import migrations, models
from django.db.models import Max

from audit import append_only


def count(apps, schema_editor):
    seals, mark = apps.get_model("audit", "AuditSeal"), apps.get_model("audit", "SealMark")
    mark.objects.create(pk=1, seq=seals.objects.aggregate(last=Max("seq"))["last"] or 0)
    append_only.guard(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [("audit", "0003_actor_id")]

    operations = [
        migrations.CreateModel(
            name="SealMark",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(help_text="The number of the last seal that was ever made")),
                ("told_at", models.DateTimeField(null=True, help_text="When the head was last told to the log")),
            ],
        ),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
