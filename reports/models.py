"""Reports of large runs, kept as they were made; and how ready plans were, day by day."""

from django.db import models

from executions.models import Execution
from plans.models import RecoveryPlan


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


class ReadinessDay(models.Model):
    """How often in a day (UTC) engines found a plan ready, or not: they look once an hour. Where no engine ran there is
    no row, and nobody knows."""

    # The database does not insist on the plan: processes of a release that knows no such rows delete plans, too.
    plan = models.ForeignKey(RecoveryPlan, models.CASCADE, related_name="+", db_constraint=False)
    day = models.DateField()
    hour = models.PositiveSmallIntegerField(null=True, help_text="Of the last look")
    ready = models.PositiveSmallIntegerField(default=0, db_default=0)
    warnings = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Ready with warnings")
    unknown = models.PositiveSmallIntegerField(default=0, db_default=0)
    not_ready = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "day"], name="readiness_day_once")]
        indexes = [models.Index(fields=["day"], name="readiness_day")]

    def __str__(self) -> str:
        return f"{self.plan_id} on {self.day}"
