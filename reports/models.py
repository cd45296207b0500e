"""Reports of large runs, kept as they were made."""

from django.db import models

from executions.models import Execution


class MadeReport(models.Model):
    """The report of one run in each form, compressed, and of which state of the run it is. May be deleted at any time:
    whoever asks for it has it made again."""

    # The database does not insist on the run: processes of a release that knows no such rows delete runs, too.
    execution = models.OneToOneField(Execution, models.CASCADE, primary_key=True, related_name="+", db_constraint=False)
    state = models.CharField(max_length=32, blank=True, help_text="What everything that it says was read from")
    asked_at = models.DateTimeField(null=True, help_text="When the engines were last asked to make it")
    tries = models.PositiveIntegerField(default=0, help_text="How often they were asked since they last made it")
    trouble = models.TextField(blank=True, help_text="Why it could not be made")
    json = models.BinaryField(null=True)
    document = models.BinaryField(null=True)
    csv = models.BinaryField(null=True)
    pdf = models.BinaryField(null=True)
    page = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"Report of {self.execution_id}"
