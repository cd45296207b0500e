"""Jobs of DRS that a run has asked for, and the lines of their logs."""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from executions.states import JOB_TOLD, JobStatus

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

    from executions.models.run import ServerRun

CLOCKS_AGREE = timedelta(seconds=30)  # by which AWS's clock and ours may differ: below, nobody can tell it from delays
# A status in DRS's words is that of one of its jobs.
_HAS_ID_WHEN_TOLD = (Q(status__in=sorted(JOB_TOLD)) & ~Q(job_id="")) | (Q(job_id="") & ~Q(status__in=sorted(JOB_TOLD)))


class DrsJob(models.Model):
    """What DRS is asked to do in one account and region: the intent, the request, and the job that DRS made of it."""

    account_id = models.CharField(max_length=12)
    region = models.CharField(max_length=32)
    status = models.CharField(max_length=9, choices=JobStatus.choices(), default=JobStatus.QUEUED)
    intent_at = models.DateTimeField(null=True)
    job_id = models.CharField(max_length=24, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def state(self) -> JobStatus:
        """The status with its label and tone."""
        return JobStatus.of(self.status)


class LaunchJob(DrsJob):
    """One StartRecovery: at most 100 servers of one wave, account and region. Its id is the tag that finds it again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wave = models.ForeignKey("executions.WaveRun", on_delete=models.CASCADE, related_name="jobs")
    position = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=0)
    refused_since = models.DateTimeField(null=True, help_text="Since when AWS has refused to take it, for one reason")
    refused_as = models.CharField(max_length=24, blank=True, default="", db_default="", help_text="Why it last did")
    queued_at = models.DateTimeField(null=True, help_text="Since when it waits for a quota of DRS")
    stood_before = models.JSONField(null=True, help_text="Instances of its servers then; null where DRS did not say")
    created_at = models.DateTimeField(null=True, help_text="When DRS made the job")
    recorded_at = models.DateTimeField(null=True, help_text="When we learned its id")
    not_before = models.DateTimeField(null=True, help_text="When to send it, or look for it, again")
    seen_at = models.DateTimeField(null=True, help_text="When DRS last told us of it")
    completed_seen_at = models.DateTimeField(null=True, help_text="When we first saw it COMPLETED")
    instances_seen_at = models.DateTimeField(null=True, help_text="When DRS last listed its instances, after its end")
    cleared_at = models.DateTimeField(null=True, help_text="When DRS did not have it after a lost answer")
    watched = models.BooleanField(default=False, help_text="Whether DRS still has news of it for us")
    events_seen = models.PositiveIntegerField(default=0, help_text="How many lines of its log we have")

    DATED_BY = ("wave_id", "intent_at", "cleared_at", "created_at", "recorded_at")  # what tells of AWS's clock

    servers: "RelatedManager[ServerRun]"
    events: "RelatedManager[JobEvent]"

    class Meta:
        ordering = ["wave", "position"]
        constraints = [
            models.UniqueConstraint(fields=["wave", "position"], name="launch_job_once"),
            models.UniqueConstraint(fields=["job_id"], condition=~Q(job_id=""), name="drs_job_once"),
            models.CheckConstraint(condition=_HAS_ID_WHEN_TOLD, name="launch_job_has_drs_id"),
        ]
        indexes = [
            models.Index(fields=["wave"], condition=Q(watched=True), name="launch_job_watched"),
            models.Index(fields=["job_id"], name="launch_job_by_id"),  # by the unique one, of a part, SQLite finds none
        ]

    def __str__(self) -> str:
        return self.job_id or f"{self.wave}, job {self.position + 1}"

    @property
    def aws_ahead(self) -> timedelta:
        """By how much AWS's clock is ahead of ours at least, or behind, in whole seconds: DRS made the job after it was
        sent and before we had its id. None at all where the two agree, or nobody can tell."""
        made, known = self.created_at, self.recorded_at
        sent = self.intent_at if self.cleared_at is None else self.wave.started_at
        if made is not None and sent is not None and made < sent - CLOCKS_AGREE:
            return timedelta(seconds=round((made - sent).total_seconds()))
        if made is not None and known is not None and made > known + CLOCKS_AGREE:
            return timedelta(seconds=round((made - known).total_seconds()))
        return timedelta(0)

    @property
    def aws_ahead_seconds(self) -> int:
        """The same as a number."""
        return int(self.aws_ahead.total_seconds())


class JobEvent(models.Model):
    """One line of a DRS job's log, as DRS sent it, or derived where DRS sends none."""

    job = models.ForeignKey(LaunchJob, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    event = models.CharField(max_length=64)
    source_server_id = models.CharField(max_length=19, blank=True)
    data = models.JSONField(default=dict)
    derived = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, help_text="Of everything DRS sent, so that reading again adds nothing")

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["job", "digest"], name="job_event_once")]

    def __str__(self) -> str:
        return f"{self.event} {self.source_server_id}".strip()


class TerminationJob(DrsJob):
    """One TerminateRecoveryInstances: at most 200 instances of one account and region."""

    execution = models.ForeignKey("executions.Execution", on_delete=models.CASCADE, related_name="terminations")
    instance_ids = models.JSONField(default=list)
    server_ids = models.JSONField(default=list, help_text="The source servers of these instances, in the same order")
    failures = models.JSONField(default=dict, help_text="Code and message by instance that was not terminated")
    watched = models.BooleanField(default=False, help_text="Whether DRS still has news of it for us")
    seen_at = models.DateTimeField(null=True, help_text="When DRS last told us of it")
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["job_id"], condition=~Q(job_id=""), name="terminate_job_once"),
            models.CheckConstraint(condition=_HAS_ID_WHEN_TOLD, name="termination_job_has_drs_id"),
        ]
        indexes = [models.Index(fields=["job_id"], name="termination_job_by_id")]

    def __str__(self) -> str:
        return self.job_id or f"termination {self.pk}"

    @property
    def waits_for(self) -> str:
        """Why DRS was not asked yet, or will be asked again; empty when it has it, or has refused it."""
        return self.error_message if self.state is JobStatus.QUEUED else ""


class OutsideTermination(DrsJob):
    """An instance that no run launched and that somebody wants terminated: asked for by an engine, after it was written
    down here, so that it is neither lost nor asked for twice."""

    instance_id = models.CharField(max_length=24)
    server_id = models.CharField(max_length=19)
    hostname = models.CharField(max_length=256)
    may_be_production = models.BooleanField(help_text="Whether who asked may terminate what DRS calls no drill's")
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField()
    next_look_at = models.DateTimeField(null=True, help_text="Also the end of an engine's claim; null when it is over")
    claim = models.UUIDField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["instance_id"], condition=Q(next_look_at__isnull=False), name="outside_termination_once"
            ),
            models.CheckConstraint(condition=_HAS_ID_WHEN_TOLD, name="outside_termination_has_id"),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="outside_termination_due"
            )
        ]

    def __str__(self) -> str:
        return f"termination of {self.instance_id}"
