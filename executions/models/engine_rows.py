"""What engines keep beside the runs: verdicts for lists, counts of failed calls, and who beats."""

from django.db import models
from django.db.models import Q

from executions.states import Verdict
from plans.models import RecoveryPlan


class PlanReadiness(models.Model):
    """The readiness of a plan as an engine last weighed it, for lists; whoever shows one plan weighs it anew."""

    plan = models.OneToOneField(RecoveryPlan, on_delete=models.CASCADE, primary_key=True, related_name="readiness")
    plan_version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=19, choices=Verdict.choices())
    reasons = models.JSONField(default=list, help_text="Sentences, worst first")
    checked_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "plan readiness"

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.verdict}"


class AwsErrors(models.Model):
    """How often calls to DRS failed, by AWS's code; `reported` of them are in CloudWatch's figures."""

    code = models.CharField(max_length=64)
    operation = models.CharField(max_length=64)
    region = models.CharField(max_length=32)
    count = models.PositiveBigIntegerField(default=0)
    reported = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "AWS errors"
        ordering = ["code", "operation", "region"]
        constraints = [models.UniqueConstraint(fields=["code", "operation", "region"], name="aws_errors_once")]

    def __str__(self) -> str:
        return f"{self.code} of {self.operation} in {self.region}"


class Place(models.Model):
    """An AWS account in a region, as far as runs have something there: when DRS is asked next, whether it answers, and
    how much of its quota is in use while launches wait for it. What it says is in the rows of jobs and servers."""

    account_id = models.CharField(max_length=12)
    region = models.CharField(max_length=32)
    next_poll_at = models.DateTimeField(null=True, help_text="Also the lease's end; null while nothing is to be asked")
    failures = models.PositiveIntegerField(default=0, help_text="Polls that failed in a row")
    failing_since = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True, help_text="When DRS was last asked, as this account, and answered")
    jobs_running = models.PositiveIntegerField(null=True, help_text="Ours and others', while launches wait for a quota")
    servers_running = models.PositiveIntegerField(null=True)
    refused_at = models.DateTimeField(null=True, help_text="When DRS last took no more, or one more was tried")
    quota_jobs = models.PositiveIntegerField(null=True, help_text="How many ran when DRS last took no more")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account_id", "region"], name="place_once")]

    def __str__(self) -> str:
        return f"{self.region} of {self.account_id}"


class Pacemaker(models.Model):
    """One row: which engine beats, until when its turn lasts, and when an engine last sent a heartbeat."""

    holder = models.UUIDField(null=True)
    until = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)
    figures_at = models.DateTimeField(null=True, help_text="When an engine last reported its figures")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_pacemaker")]

    def __str__(self) -> str:
        return "pacemaker"
