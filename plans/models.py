"""Recovery plans: waves in order, each with its groups, servers and dependencies."""

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, assert_never

from django.db import models
from django.db.models.functions import Now

from contract.labels.rows import LabelRow, having_any, labeled
from contract.labels.rules import Wanted
from contract.names import name_key
from contract.rights import Reach
from plans.gates import words
from protection.models import ProtectionGroup, ServerAssignment

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class OnFailure(models.TextChoices):
    """What a failed wave means for the waves behind it."""

    STOP = "STOP", "Stop the plan"
    CONTINUE = "CONTINUE", "Continue with the next wave"
    PAUSE = "PAUSE", "Pause until somebody decides"

    @property
    def stops_plan(self) -> bool:
        """Whether nothing is launched after a wave that failed."""
        match self:
            case OnFailure.STOP:
                return True
            case OnFailure.CONTINUE | OnFailure.PAUSE:
                return False
            case _:
                assert_never(self)

    @property
    def asks_a_person(self) -> bool:
        """Whether the run waits after a wave that failed, until somebody says how it goes on."""
        match self:
            case OnFailure.PAUSE:
                return True
            case OnFailure.STOP | OnFailure.CONTINUE:
                return False
            case _:
                assert_never(self)


class SuccessMeans(models.TextChoices):
    """What a server must have reached for its wave to complete; each includes those before."""

    LAUNCHED = "LAUNCHED", "Launched"
    STATUS_CHECKS = "STATUS_CHECKS", "Launched, and EC2’s status checks passed"
    LAUNCH_ACTIONS = "LAUNCH_ACTIONS", "Status checks passed, and post-launch actions succeeded"

    @property
    def needs_checks(self) -> bool:
        """Whether it takes more than DRS’s word that the server launched."""
        return self is not SuccessMeans.LAUNCHED


class RecoveryPlanQuerySet(models.QuerySet["RecoveryPlan"]):
    """How plans are read."""

    def named(self, text: str) -> "RecoveryPlanQuerySet":
        """Plans whose name contains `text`, whatever its case."""
        return self.filter(name_key__contains=name_key(text))

    def labeled(self, wanted: Iterable[Wanted]) -> "RecoveryPlanQuerySet":
        """Plans that have all these labels."""
        return labeled(self, PlanLabel.objects, wanted)

    def in_account(self, account_id: str) -> "RecoveryPlanQuerySet":
        """Plans with a group of that AWS account."""
        links = WaveGroup.objects.filter(wave__plan=models.OuterRef("pk"), group__account_id=account_id)
        return self.filter(models.Exists(links))

    def seen_by(self, reach: Reach) -> "RecoveryPlanQuerySet":
        """Plans that somebody sees: by a label, or because all their groups lie in accounts that they see."""
        if reach.everywhere:
            return self
        links = WaveGroup.objects.filter(wave__plan=models.OuterRef("pk"))
        outside = links.exclude(group__account_id__in=reach.accounts)
        within = models.Q(models.Exists(links), ~models.Exists(outside)) if reach.accounts else models.Q(pk__in=[])
        return self.filter(models.Q(pk__in=having_any(PlanLabel.objects, reach.labels)) | within)


class LeaseEnds(models.TextChoices):
    """What happens to instances of a drill that have outlived their lease."""

    TELL = "TELL", "Tell people"
    TERMINATE = "TERMINATE", "Terminate them, an hour after a warning"


class RecoveryPlan(models.Model):
    """An order of waves under a unique name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=128)
    name_key = models.CharField(max_length=512, editable=False)
    description = models.CharField(max_length=512, blank=True)
    rto_minutes = models.PositiveIntegerField(
        null=True, blank=True, help_text="Recovered within so long, from the start"
    )
    rpo_minutes = models.PositiveIntegerField(null=True, blank=True, help_text="At most so much data lost")
    drill_lease_hours = models.PositiveIntegerField(
        null=True, blank=True, help_text="How long a drill's instances may run on after it"
    )
    drill_lease_ends = models.CharField(
        max_length=9, choices=LeaseEnds.choices, default=LeaseEnds.TELL, db_default=LeaseEnds.TELL
    )
    start_gate = models.JSONField(null=True, blank=True, help_text="What a recovery waits for before it launches")
    mirror_to_drs = models.BooleanField(
        default=False, db_default=False, help_text="Whether engines keep a copy of it in DRS, as recovery plans of DRS"
    )
    owner = models.CharField(max_length=254)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    objects = RecoveryPlanQuerySet.as_manager()
    waves: "RelatedManager[Wave]"
    labels: "RelatedManager[PlanLabel]"

    class Meta:
        ordering = ["name_key"]
        constraints = [
            models.UniqueConstraint(
                fields=["name_key"],
                name="recovery_plan_name_taken",
                violation_error_code="RP_NAME_EXISTS",
                violation_error_message="A recovery plan with this name exists.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def start_gate_words(self) -> str:
        """What its start gate asks for; empty without one."""
        return words(self.start_gate) if self.start_gate else ""


class PlanLabel(LabelRow):
    """A label of a plan. The database does not tie it to its plan: the version before deletes plans, too."""

    OWNER: ClassVar = "plan"

    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="labels", db_constraint=False)

    class Meta(LabelRow.Meta):
        constraints = [models.UniqueConstraint(fields=["plan", "key"], name="plan_label_once")]
        indexes = [models.Index(fields=["key", "value", "plan"], name="plan_label")]


class Wave(models.Model):
    """One step of a plan: servers that are launched together. `number` is 0-based; people are shown number + 1."""

    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="waves")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=128)
    description = models.CharField(max_length=512, blank=True)
    pause_before = models.BooleanField(default=False)
    gate = models.JSONField(null=True, blank=True, help_text="What is asked for before it is launched")
    wait_minutes_before = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How long the run waits before it"
    )
    timeout_minutes = models.PositiveIntegerField(
        null=True, blank=True, help_text="How long its servers may take; empty for the installation's setting"
    )
    success_means = models.CharField(
        max_length=14,
        choices=SuccessMeans.choices,
        default=SuccessMeans.LAUNCHED,
        db_default=SuccessMeans.LAUNCHED.value,
        help_text="What its servers must have reached",
    )
    check_timeout_minutes = models.PositiveIntegerField(
        default=15, db_default=15, help_text="How long a launched server may take to reach that"
    )
    on_failure = models.CharField(max_length=8, choices=OnFailure.choices, default=OnFailure.STOP)
    groups = models.ManyToManyField(ProtectionGroup, through="WaveGroup", related_name="waves")
    depends_on = models.ManyToManyField("self", symmetrical=False, related_name="dependents")

    group_links: "RelatedManager[WaveGroup]"
    servers: "RelatedManager[WaveServer]"

    class Meta:
        ordering = ["plan", "number"]
        constraints = [models.UniqueConstraint(fields=["plan", "number"], name="wave_number_taken")]

    def __str__(self) -> str:
        return f"{self.plan}, wave {self.number + 1}"

    @property
    def gate_words(self) -> str:
        """What its gate asks for; empty without one."""
        return words(self.gate) if self.gate else ""


class WaveGroup(models.Model):
    """A group that a wave draws servers from; a group in use cannot be deleted."""

    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="group_links")
    group = models.ForeignKey(ProtectionGroup, on_delete=models.PROTECT, related_name="wave_links")
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["wave", "position"]
        constraints = [models.UniqueConstraint(fields=["wave", "group"], name="wave_group_once")]

    def __str__(self) -> str:
        return f"{self.wave}: {self.group}"


class WaveServer(models.Model):
    """A server of a wave. It points at the assignment, so a server that a plan names cannot leave its group."""

    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="servers")
    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="servers")
    assignment = models.ForeignKey(
        ServerAssignment,
        on_delete=models.PROTECT,
        to_field="source_server_id",
        db_column="source_server_id",
        related_name="wave_servers",
    )
    position = models.PositiveIntegerField()
    optional = models.BooleanField(default=False, db_default=False, help_text="Whether its wave completes without it")

    class Meta:
        ordering = ["wave", "position"]
        constraints = [models.UniqueConstraint(fields=["plan", "assignment"], name="server_in_one_wave")]

    def __str__(self) -> str:
        return f"{self.wave}: {self.source_server_id}"

    @property
    def source_server_id(self) -> str:
        """The DRS id, without loading the assignment."""
        return self.assignment_id
