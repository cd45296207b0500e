"""Readings of regions are kept by the account that they are of. Rows of today are those of our own credentials.

The table keeps its name, and its columns their defaults: processes of the version before go on writing rows by region.
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

COLUMNS = [
    ("region", models.CharField(max_length=32)),
    (
        "way",
        models.CharField(
            blank=True,
            db_default="",
            default="",
            help_text="The account by whose role it is read; empty: that of our own credentials, whichever that is",
            max_length=12,
        ),
    ),
    ("account_id", models.CharField(blank=True, max_length=12)),
    ("initialized", models.BooleanField(default=True)),
    ("as_of", models.DateTimeField(null=True)),
    ("tried_at", models.DateTimeField()),
    ("error_code", models.CharField(blank=True, max_length=64)),
    ("error_message", models.TextField(blank=True)),
    (
        "checks_error",
        models.TextField(blank=True, db_default="", default="", help_text="Why EC2 tells no status checks"),
    ),
    (
        "actions_denied",
        models.TextField(
            blank=True, db_default="", default="", help_text="What of post-launch actions IAM does not allow"
        ),
    ),
    ("rights_as_of", models.DateTimeField(help_text="When these two were asked for", null=True)),
    ("capacity", models.JSONField(help_text="Quotas, free addresses and vCPUs, or why they are not known", null=True)),
    ("capacity_as_of", models.DateTimeField(help_text="When these were asked for", null=True)),
    (
        "templates_error",
        models.TextField(blank=True, db_default="", default="", help_text="Why EC2 does not tell launch templates"),
    ),
    ("running_jobs", models.JSONField(default=list, help_text="Ids and servers of the jobs that DRS worked on")),
    ("jobs_as_of", models.DateTimeField(null=True)),
    (
        "details_error",
        models.TextField(blank=True, help_text="Why jobs, snapshots or launch settings could not be read"),
    ),
    (
        "instances_as_of",
        models.DateTimeField(help_text="When DRS was last asked for recovery instances", null=True),
    ),
    ("instances_account_id", models.CharField(blank=True, db_default="", default="", max_length=12)),
    (
        "left_out",
        models.JSONField(help_text="Ids of servers that the inventory has of another account", null=True),
    ),
    (
        "instances_error",
        models.TextField(
            blank=True, db_default="", default="", help_text="Why recovery instances could not be read"
        ),
    ),
]


def copy(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    before = apps.get_model("protection", "RegionInventory")
    after = apps.get_model("protection", "RegionReading")
    after.objects.bulk_create(after(**row) for row in before.objects.values())


class Migration(migrations.Migration):
    dependencies = [("protection", "0012_labels")]
    operations = [
        migrations.CreateModel(
            name="RegionReading",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                *COLUMNS,
            ],
            options={"verbose_name_plural": "region inventories", "ordering": ["region", "way"]},
        ),
        migrations.RunPython(copy, migrations.RunPython.noop),
        migrations.DeleteModel("RegionInventory"),
        migrations.RenameModel("RegionReading", "RegionInventory"),
        migrations.AddConstraint(
            "RegionInventory",
            models.UniqueConstraint(fields=["region", "way"], name="region_read_once_a_way"),
        ),
    ]
