"""A run with its waves and servers."""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, assert_never

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from executions.codes.ours import Code
from executions.models.drs_jobs import LaunchJob, TerminationJob
from executions.models.evidence import Evidence
from executions.models.listed import listed
from executions.models.run_number import called
from executions.querysets import ExecutionQuerySet
from executions.states import (
    ACTIVE,
    WAVE_FINAL,
    ExecutionStatus,
    InstanceState,
    Kind,
    LaunchStatus,
    Phase,
    TerminationStatus,
    WaveStatus,
)
from plans.models import LeaseEnds, OnFailure, RecoveryPlan, SuccessMeans

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Execution(models.Model):
    """One drill or recovery. `revision` grows by one with every change that a reader could see."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(null=True, unique=True, help_text="What people call it: run 117")
    # Its index is execution_by_plan: of two that fit, SQLite may take the one without an order.
    plan = models.ForeignKey(RecoveryPlan, models.SET_NULL, related_name="executions", null=True, db_index=False)
    plan_name = models.CharField(max_length=128)
    plan_copy = models.JSONField(default=dict)
    kind = models.CharField(max_length=8, choices=Kind.choices())
    dry_run = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=ExecutionStatus.choices(), default=ExecutionStatus.PENDING)
    total_waves = models.PositiveIntegerField()
    rto_minutes = models.PositiveIntegerField(null=True, help_text="The plan's target when the run started")
    rpo_minutes = models.PositiveIntegerField(null=True, help_text="The plan's target when the run started")
    initiated_by = models.CharField(max_length=254)
    started_by = models.CharField(max_length=254)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)
    outage_at = models.DateTimeField(null=True, help_text="When production was lost, as declared at the start")
    snapshots_until = models.DateTimeField(
        null=True, help_text="Each server is launched from its newest snapshot not after this; null: from newest data"
    )
    updated_at = models.DateTimeField(db_default=Now())
    revision = models.PositiveIntegerField(default=1)
    cancel_requested_at = models.DateTimeField(null=True)
    pause_requested_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    termination_status = models.CharField(
        max_length=11, choices=TerminationStatus.choices(), default=TerminationStatus.NOT_STARTED
    )

    next_step_at = models.DateTimeField(null=True, help_text="When somebody must look; also the lease's end")
    claim = models.UUIDField(null=True, help_text="Fencing token of whoever works on it")
    news = models.PositiveIntegerField(default=0, db_default=0, help_text="Grows with every fact to decide about")
    failures = models.PositiveIntegerField(default=0, help_text="AWS calls failed in a row")
    failing_since = models.DateTimeField(null=True)
    stalled_since = models.DateTimeField(null=True, help_text="Since when AWS has told nothing of it, for three polls")
    aws_error = models.TextField(blank=True)
    restored_at = models.DateTimeField(null=True, help_text="Read from a backup, and nobody has resumed it since")

    rehearsal = models.JSONField(null=True, help_text="What a dry run found, and how long a run would take")
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries")
    first_attempt_id = models.UUIDField(null=True, help_text="Of a retry: the run with which it all began")
    first_started_at = models.DateTimeField(null=True, help_text="Of a retry: when the first attempt was started")
    attempt = models.PositiveIntegerField(default=1, help_text="1 for a run that retries no other")
    left_out = models.JSONField(null=True, help_text="Of a retry: servers that whoever started it left out")
    drill_lease_hours = models.PositiveIntegerField(null=True, help_text="The plan's when the run started")
    drill_lease_ends = models.CharField(
        max_length=9, choices=LeaseEnds.choices, default=LeaseEnds.TELL, db_default=LeaseEnds.TELL
    )
    lease_ends_at = models.DateTimeField(
        null=True, help_text="Of a drill that is over: until when its instances may run"
    )
    lease_warned_at = models.DateTimeField(null=True, help_text="When people were warned of their termination")
    lease_over_at = models.DateTimeField(null=True, help_text="When people were told, or the instances terminated")
    hidden_at = models.DateTimeField(null=True, help_text="When it left the lists; all else of it stays")
    cleanup_proof = models.JSONField(null=True, help_text="What DRS listed after the clean-up, by account and region")
    proof_due = models.BooleanField(default=False, db_default=False, help_text="Whether that is still to be asked")
    agreed_instances = models.JSONField(
        null=True, help_text="Ids of instances, or of servers without one yet, that its start may end as production"
    )
    servers_left_out = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of a run that completed: servers that are not up, by somebody's choice"
    )
    forecast = models.JSONField(null=True, help_text="When it will be over, in the shape that measuring.forecast makes")
    phase_times = models.JSONField(default=list, help_text="What its launches took, for the forecasts of later runs")

    objects = ExecutionQuerySet.as_manager()
    waves: "RelatedManager[WaveRun]"
    terminations: "RelatedManager[TerminationJob]"
    plan_id: uuid.UUID | None

    class Meta:
        ordering = ["-started_at", "-id"]
        permissions = [
            ("start_drill", "Can start drills and dry runs"),
            ("start_recovery", "Can start recoveries"),
            ("control_execution", "Can pause, resume and cancel runs"),
            ("terminate_drill", "Can terminate instances of drills"),
            ("terminate_recovery", "Can terminate instances of recoveries"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["plan"], condition=Q(ended_at=None, dry_run=False), name="one_active_execution_a_plan"
            ),
            models.UniqueConstraint(fields=["retry_of"], condition=Q(retry_of__isnull=False), name="one_retry_a_run"),
            models.CheckConstraint(
                condition=Q(ended_at=None, status__in=sorted(ACTIVE))
                | (Q(ended_at__isnull=False) & ~Q(status__in=sorted(ACTIVE))),
                name="execution_ends_when_final",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=False) | Q(next_step_at__isnull=False), name="active_execution_is_due"
            ),
        ]
        indexes = [
            models.Index(fields=["-started_at", "-id"], name="execution_newest"),
            models.Index(fields=["status", "-started_at", "-id"], name="execution_by_status"),
            models.Index(fields=["plan", "-started_at", "-id"], name="execution_by_plan"),
            models.Index(
                fields=["kind", "status", "plan", "-started_at"],
                condition=Q(dry_run=False),
                name="execution_by_outcome",
            ),
            models.Index(fields=["-started_at", "-id"], condition=Q(ended_at=None), name="execution_active"),
            models.Index(fields=["plan"], condition=Q(ended_at=None), name="execution_active_by_plan"),
            models.Index(fields=["next_step_at"], condition=Q(next_step_at__isnull=False), name="execution_due"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="execution_ended"),
            models.Index(
                fields=["first_attempt_id"], condition=Q(first_attempt_id__isnull=False), name="execution_attempts"
            ),
            # Each filter of the history, and type and status together: without these a page of something rare is looked
            # for in the whole history. What was hidden is apart: it may be nearly everything.
            *listed("shown", Q(hidden_at=None)),
            *listed("hidden", Q(hidden_at__isnull=False)),
            *listed("dry", Q(dry_run=True, hidden_at=None)),
            *listed("dry_hidden", Q(dry_run=True, hidden_at__isnull=False)),
            models.Index(fields=["hidden_at"], condition=Q(hidden_at__isnull=False), name="execution_hidden"),
            models.Index(
                fields=["lease_ends_at"],
                condition=Q(lease_ends_at__isnull=False, lease_over_at=None),
                name="execution_leased",
            ),
            models.Index(fields=["proof_due"], condition=Q(proof_due=True), name="execution_proof_due"),
            models.Index(fields=["claim"], condition=Q(claim__isnull=False), name="execution_claimed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.plan_name}"

    @property
    def state(self) -> ExecutionStatus:
        """The status with its label and tone."""
        return ExecutionStatus.of(self.status)

    @property
    def purpose(self) -> Kind:
        """The kind with its label and tone."""
        return Kind.of(self.kind)

    @property
    def called(self) -> str:
        """What people call it."""
        return called(self.number, self.pk)

    @property
    def counts_from(self) -> datetime:
        """When its first attempt was started: a retry does not restart the outage."""
        return self.first_started_at or self.started_at

    @property
    def measured_from(self) -> datetime:
        """When its recovery time begins to count: with the outage, if one was declared."""
        return self.outage_at or self.counts_from


class WaveRun(models.Model):
    """One wave of a run, as the plan said at the start."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="waves")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=128)
    status = models.CharField(max_length=9, choices=WaveStatus.choices(), default=WaveStatus.PENDING)
    status_message = models.TextField(blank=True)
    pause_before = models.BooleanField(default=False)
    gate = models.JSONField(null=True, help_text="What is asked for before it is launched, in the shape of plans.gates")
    paused_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    resumed_by = models.CharField(max_length=254, blank=True)
    wait_minutes_before = models.PositiveIntegerField(default=0, db_default=0)
    starts_at = models.DateTimeField(null=True, help_text="When the wait before it is over")
    timeout_minutes = models.PositiveIntegerField(null=True, help_text="How long it may take; null for the setting")
    success_means = models.CharField(
        max_length=14,
        choices=SuccessMeans.choices,
        default=SuccessMeans.LAUNCHED,
        db_default=SuccessMeans.LAUNCHED.value,
    )
    check_timeout_minutes = models.PositiveIntegerField(default=15, db_default=15)
    asked_at = models.DateTimeField(null=True, help_text="Since when the run waits after its failure for a decision")
    answered_at = models.DateTimeField(null=True)
    answered_by = models.CharField(max_length=254, blank=True, default="", db_default="")
    skipped = models.JSONField(null=True, help_text="Who skipped it, when and why, and whether its dependents run")
    attempt = models.PositiveIntegerField(default=1, db_default=1, help_text="1, and one more with each retry of it")
    retries = models.JSONField(null=True, help_text="Of each retry, since when the run had waited for it, and its time")
    depends_on = models.JSONField(default=list)
    on_failure = models.CharField(max_length=8, choices=OnFailure.choices, default=OnFailure.STOP)
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    revision = models.PositiveIntegerField(default=1, help_text="The run's revision when this wave last changed")

    jobs: "RelatedManager[LaunchJob]"
    servers: "RelatedManager[ServerRun]"

    class Meta:
        ordering = ["execution", "number"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "number"], name="wave_run_once"),
            models.UniqueConstraint(
                fields=["execution"], condition=Q(status=WaveStatus.PAUSED), name="one_paused_wave_a_run"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=False, status__in=sorted(WAVE_FINAL))
                | (Q(ended_at=None) & ~Q(status__in=sorted(WAVE_FINAL))),
                name="wave_run_ends_when_final",
            ),
        ]
        indexes = [models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="wave_run_ended")]

    def __str__(self) -> str:
        return f"{self.execution}, wave {self.number + 1}"

    @property
    def state(self) -> WaveStatus:
        """The status with its label and tone."""
        return WaveStatus.of(self.status)

    @property
    def needs_answer(self) -> bool:
        """Whether it failed, and the run waits until a person says how it goes on."""
        return self.asked_at is not None and self.answered_at is None

    @property
    def means(self) -> SuccessMeans:
        """What its servers must have reached."""
        return SuccessMeans(self.success_means)

    @property
    def time_limit(self) -> timedelta:
        """How long its servers may take, from its last job on."""
        minutes = self.timeout_minutes
        return timedelta(minutes=minutes) if minutes else timedelta(seconds=settings.WAVE_TIMEOUT_SECONDS)


class CurrentServers(models.Manager["ServerRun"]):
    """Servers as their wave's last attempt has them, without the launches before it."""

    def get_queryset(self) -> "models.QuerySet[ServerRun]":
        return super().get_queryset().filter(superseded=False)


class ServerRun(Evidence):
    """One server of a wave. A launch that another one of it followed stays, `superseded`: only `launches` has it."""

    wave = models.ForeignKey(WaveRun, on_delete=models.CASCADE, related_name="servers")
    job = models.ForeignKey(LaunchJob, on_delete=models.CASCADE, related_name="servers")
    position = models.PositiveIntegerField()
    source_server_id = models.CharField(max_length=19)
    hostname = models.CharField(max_length=256)
    launch_status = models.CharField(max_length=11, choices=LaunchStatus.choices(), default=LaunchStatus.PENDING)
    phase = models.CharField(max_length=10, choices=Phase.choices(), default=Phase.QUEUED)
    phase_note = models.CharField(max_length=40, blank=True, default="", db_default="", help_text="Which attempt it is")
    recovery_instance_state = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="UNKNOWN when DRS does not list it any more"
    )
    instance_state = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="DRS's ec2InstanceState when it was looked at"
    )
    missing_since = models.DateTimeField(null=True, help_text="When DRS was first asked and did not list it any more")
    failback_state = models.CharField(
        max_length=48, blank=True, default="", db_default="", help_text="DRS's word, once somebody protects it"
    )
    launched_at = models.DateTimeField(null=True)
    observed_late = models.PositiveIntegerField(
        null=True, help_text="At most so many seconds before launched_at it came up; null: then, by DRS's own word"
    )
    failed_at = models.DateTimeField(null=True, help_text="When DRS was first seen to have failed it")
    terminated_at = models.DateTimeField(null=True)
    optional = models.BooleanField(default=False, db_default=False, help_text="Whether its wave completes without it")
    excluded = models.JSONField(null=True, help_text="Who left it out, when and why; it is never launched")
    used_previous_snapshot = models.BooleanField(default=False)
    point_in_time = models.DateTimeField(null=True, help_text="The moment whose data the instance was launched with")
    lag_seconds = models.PositiveIntegerField(null=True, help_text="How far its data lagged when its launch was sent")
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="Our code of it")
    launch_digest = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Of the settings that a drill launched it with"
    )
    findings = models.JSONField(default=list, help_text="What a dry run found: codes, severities and sentences")
    superseded = models.BooleanField(default=False, db_default=False, help_text="Its wave was tried again after it")

    objects = CurrentServers()
    launches: "models.Manager[ServerRun]" = models.Manager()

    class Meta:
        ordering = ["wave", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["wave", "source_server_id"], condition=Q(superseded=False), name="current_server_once_a_wave"
            ),
            models.CheckConstraint(
                condition=~Q(launch_status=LaunchStatus.LAUNCHED) | Q(launched_at__isnull=False),
                name="launched_server_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["source_server_id", "launched_at", "id"], name="server_run_by_launch"),
            models.Index(
                fields=["recovery_instance_id"], condition=~Q(recovery_instance_id=""), name="server_run_by_instance"
            ),
            # What `querysets.STANDING` asks for, of few among the servers of a long history.
            models.Index(fields=["launch_status", "wave"], condition=Q(launch_status="LAUNCHED"), name="server_run_up"),
            models.Index(
                fields=["launch_status", "wave"],
                condition=Q(launch_status="FAILED", error_code=Code.NOT_USABLE.value),
                name="server_run_not_usable",
            ),
        ]

    def __str__(self) -> str:
        return self.hostname

    @property
    def state(self) -> LaunchStatus:
        """The launch status with its label and tone."""
        return LaunchStatus.of(self.launch_status)

    def is_up(self, means: SuccessMeans) -> bool:
        """Whether it has reached what its wave asks for."""
        if not self.state.came_up:
            return False
        match means:
            case SuccessMeans.LAUNCHED:
                return True
            case SuccessMeans.STATUS_CHECKS:
                return self.checks_passed_at is not None
            case SuccessMeans.LAUNCH_ACTIONS:
                return self.usable_at is not None
            case _:
                assert_never(means)

    @property
    def has_more(self) -> bool:
        """Whether there is more to say of it than its columns do."""
        told = (self.error, self.used_previous_snapshot, self.findings, self.launch_actions, self.excluded)
        return any(told) or bool(self.recovery_snapshot_id or self.never_sent)

    @property
    def is_unknown_to_drs(self) -> bool:
        """Whether it came up and DRS does not list it any more, so that it may run on in EC2."""
        return self.state is LaunchStatus.LAUNCHED and self.recovery_instance_state == InstanceState.UNKNOWN

    @property
    def standing_state(self) -> str:
        """UNKNOWN or STOPPED of an instance that stands so; empty when it runs, or there is none."""
        return self.recovery_instance_state if self.state is LaunchStatus.LAUNCHED else ""

    @property
    def can_be_asked_for(self) -> bool:
        """Whether DRS can be asked to terminate its instance."""
        return bool(self.recovery_instance_id) and not self.is_unknown_to_drs

    @property
    def is_checked(self) -> bool:
        """Whether a dry run has looked at it."""
        return self.stage is Phase.DONE

    @property
    def stage(self) -> Phase:
        """The phase with its label and tone."""
        return Phase.of(self.phase)
