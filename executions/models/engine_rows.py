"""What engines keep beside the runs: verdicts for lists, counts of failed calls, who beats, and which installation this
is."""

import uuid

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
    drill_overdue = models.BooleanField(default=False, db_default=False, help_text="It was told that it is")
    checked_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "plan readiness"

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.verdict}"

    @property
    def state(self) -> Verdict:
        """The verdict with its label and tone."""
        return Verdict.of(self.verdict)


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


class Installation(models.Model):
    """One row: which installation this is, whether another one has taken over from it, and how its bundle is
    (docs/adr/0114-takeover.md). `line` is the same for all that have taken over from one another."""

    line = models.UUIDField(default=uuid.uuid4)
    key = models.UUIDField(default=uuid.uuid4)
    epoch = models.PositiveIntegerField(default=1, help_text="1, and one more with each takeover")
    took_over_at = models.DateTimeField(null=True)
    superseded_by = models.CharField(max_length=96, blank=True, help_text="The mark of the one that has taken over")
    superseded_at = models.DateTimeField(null=True, help_text="When that was first seen")
    bundled_at = models.DateTimeField(null=True, help_text="Of when the last bundle is that was stored")
    bundled_mark = models.CharField(max_length=64, blank=True, help_text="What tells whether anything changed since")
    bundled_runs = models.JSONField(default=list, help_text="Ids of runs under way that it holds")
    bundle_claimed_until = models.DateTimeField(null=True, help_text="Until when some engine writes one")
    bundle_failing_since = models.DateTimeField(null=True)
    bundle_error = models.TextField(blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_installation")]

    def __str__(self) -> str:
        return f"{self.epoch}:{self.line}:{self.key}"
