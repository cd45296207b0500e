from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def tell_of_late_instances(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Whoever is told that a run timed out or failed is told, too, what AWS has launched all the same."""
    for subscription in apps.get_model("notify", "Subscription").objects.all():
        if {"TIMED_OUT", "FAILED"} & set(subscription.events) and "LATE" not in subscription.events:
            subscription.events = [*subscription.events, "LATE"]
            subscription.save(update_fields=["events"])


class Migration(migrations.Migration):

    dependencies = [
        ("notify", "0002_journal_event"),
    ]

    operations = [
        migrations.AlterField(
            model_name="notice",
            name="event",
            field=models.CharField(choices=[("STARTED", "started"), ("PAUSED", "paused"), ("RESUMED", "resumed"), ("FINISHED", "finished"), ("FAILED", "failed"), ("TIMED_OUT", "timed out"), ("LATE", "instances came up late"), ("JOURNAL", "journal head, once a day"), ("TEST", "test")], max_length=9),
        ),
        migrations.RunPython(tell_of_late_instances, migrations.RunPython.noop),
    ]
