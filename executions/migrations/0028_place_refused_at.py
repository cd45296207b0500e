"""When DRS last took no more is what a place needs to know; no release has had its rows yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("executions", "0027_constraints")]

    operations = [
        migrations.RenameField("place", "called_at", "refused_at"),
        migrations.AlterField(
            "place",
            "refused_at",
            models.DateTimeField(null=True, help_text="When DRS last took no more, or one more was tried"),
        ),
    ]
