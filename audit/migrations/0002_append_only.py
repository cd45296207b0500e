"""Refusals, before and after, seals; and the triggers that make the journal append-only."""

import django.db.models.functions.datetime
from django.db import migrations, models

from audit import append_only


def guard(apps, schema_editor):
    entry, queue = apps.get_model("audit", "AuditEntry"), apps.get_model("audit", "UnsealedEntry")
    ids = list(entry.objects.order_by("pk").values_list("pk", flat=True))
    queue.objects.bulk_create((queue(entry=pk) for pk in ids), batch_size=500)
    append_only.guard(schema_editor.connection)


def unguard(apps, schema_editor):
    append_only.unguard(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.AddField("auditentry", "refused", models.BooleanField(default=False, help_text="It was tried and nothing was changed")),
        migrations.AddField("auditentry", "before", models.JSONField(null=True, help_text="What the change replaced")),
        migrations.AddField("auditentry", "after", models.JSONField(null=True, help_text="What it was replaced with")),
        migrations.AlterField("auditentry", "outcome", models.CharField(default="ok", help_text="ok, or the code of the contract", max_length=64)),
        migrations.AddIndex("auditentry", models.Index(fields=["actor", "id"], name="audit_entry_by_actor")),
        migrations.AddIndex("auditentry", models.Index(fields=["verb", "id"], name="audit_entry_by_verb")),
        migrations.AddIndex("auditentry", models.Index(fields=["at"], name="audit_entry_by_time")),
        migrations.CreateModel(
            name="UnsealedEntry",
            fields=[("entry", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"verbose_name_plural": "unsealed entries"},
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry", models.BigIntegerField(unique=True)),
                ("previous", models.CharField(max_length=64)),
                ("digest", models.CharField(max_length=64)),
                ("sealed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={"ordering": ["seq"]},
        ),
        migrations.RunPython(guard, unguard),
    ]
