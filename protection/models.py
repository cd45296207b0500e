"""Protection groups, which server belongs to which, and the inventory of what DRS last told us."""

import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Now

from contract.names import name_key
from drs.shapes import GONE
from protection.states import ServerState, replication_trouble, server_state

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class ProtectionGroupQuerySet(models.QuerySet["ProtectionGroup"]):
    """How groups are read."""

    def named(self, text: str) -> "ProtectionGroupQuerySet":
        """Groups whose name contains `text`, whatever its case."""
        return self.filter(name_key__contains=name_key(text))

    def with_servers(self) -> "ProtectionGroupQuerySet":
        """Groups with their assignments in order and the number of servers, in two queries whatever the size."""
        return self.annotate(server_count=Count("assignments")).prefetch_related("assignments")


class ProtectionGroup(models.Model):
    """Servers of one region that are recovered together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=128)
    name_key = models.CharField(max_length=512, editable=False)
    region = models.CharField(max_length=32)
    description = models.CharField(max_length=512, blank=True)
    account_id = models.CharField(max_length=12)
    owner = models.CharField(max_length=254)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    objects = ProtectionGroupQuerySet.as_manager()
    assignments: "RelatedManager[ServerAssignment]"

    class Meta:
        ordering = ["name_key"]
        constraints = [
            models.UniqueConstraint(
                fields=["name_key"],
                name="protection_group_name_taken",
                violation_error_code="PG_NAME_EXISTS",
                violation_error_message="A protection group with this name exists.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ServerAssignment(models.Model):
    """A source server's one place: at most one group anywhere."""

    source_server_id = models.CharField(max_length=19, unique=True)
    group = models.ForeignKey(ProtectionGroup, on_delete=models.CASCADE, related_name="assignments")
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["group", "position"]

    def __str__(self) -> str:
        return self.source_server_id


class SourceServerQuerySet(models.QuerySet["SourceServer"]):
    """How the inventory is read."""

    def present(self) -> "SourceServerQuerySet":
        """Servers that DRS named when its region was last read."""
        return self.filter(gone_at=None)

    def matching(self, text: str) -> "SourceServerQuerySet":
        """Servers whose name or id contains `text`."""
        return self.filter(Q(name__icontains=text) | Q(source_server_id__icontains=text))

    def unassigned(self) -> "SourceServerQuerySet":
        """Servers that no group has, so that no plan recovers them."""
        return self.filter(~Exists(ServerAssignment.objects.filter(source_server_id=OuterRef("pk"))))


class LaunchSettings(models.Model):
    """How a server was, or would be, launched: once for every such setting that was ever seen, by its digest."""

    digest = models.CharField(max_length=64, primary_key=True)
    settings = models.JSONField()

    class Meta:
        verbose_name_plural = "launch settings"

    def __str__(self) -> str:
        return self.digest


class SourceServer(models.Model):
    """One row of the inventory: a source server as DRS last described it."""

    source_server_id = models.CharField(max_length=19, primary_key=True)
    account_id = models.CharField(max_length=12)
    region = models.CharField(max_length=32, db_index=True)
    name = models.CharField(max_length=256)
    hostname = models.CharField(max_length=256, blank=True)
    fqdn = models.CharField(max_length=256, blank=True)
    replication_state = models.CharField(max_length=32)
    lag_duration = models.CharField(max_length=64, blank=True)
    lag_seconds = models.BigIntegerField(null=True)
    last_launch_result = models.CharField(max_length=32, blank=True)
    recovery_instance_id = models.CharField(max_length=19, blank=True)
    tags = models.JSONField(default=dict)
    cpu_cores = models.PositiveIntegerField(default=0)
    ram_bytes = models.BigIntegerField(default=0)
    disk_bytes = models.BigIntegerField(default=0)
    os = models.CharField(max_length=256, blank=True)
    instance_type = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="That DRS recommends for its instance"
    )
    replication_error = models.CharField(max_length=1024, blank=True, default="", db_default="")
    replication_direction = models.CharField(max_length=16, blank=True, default="", db_default="")
    staging_status = models.CharField(max_length=32, blank=True, default="", db_default="")
    staging_account = models.CharField(max_length=32, blank=True, default="", db_default="")
    staging_error = models.CharField(max_length=1024, blank=True, default="", db_default="")
    agent_silent_since = models.DateTimeField(null=True, help_text="When its agent was last seen, if that is long ago")
    not_kept = models.CharField(
        max_length=512, blank=True, default="", db_default="", help_text="What DRS tells that was cleaned or cut"
    )
    digest = models.CharField(
        max_length=32, blank=True, default="", db_default="", editable=False, help_text="Of what DRS said"
    )
    starts_stopped = models.BooleanField(null=True, help_text="Launch disposition STOPPED; null: not known")
    has_actions = models.BooleanField(null=True, help_text="Whether post-launch actions are on; null: not known")
    launch_template_id = models.CharField(max_length=64, blank=True)
    launch_digest = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Of its launch settings, as of details_as_of"
    )
    template_as_of = models.DateTimeField(null=True, help_text="When its launch template was read")
    latest_snapshot_at = models.DateTimeField(null=True, help_text="The newest point in time, as of details_as_of")
    details_as_of = models.DateTimeField(null=True, help_text="When snapshots and launch settings were read")
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    objects = SourceServerQuerySet.as_manager()

    class Meta:
        ordering = ["name", "source_server_id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.source_server_id})"

    @property
    def state(self) -> ServerState:
        """Our word for DRS's replication state."""
        return server_state(self.replication_state, self.trouble)

    @property
    def trouble(self) -> str:
        """What DRS says is wrong with it, in its words; empty when nothing is."""
        return replication_trouble(
            error=self.replication_error,
            staging_status=self.staging_status,
            staging_error=self.staging_error,
            direction=self.replication_direction,
        )

    @property
    def why_lagging(self) -> str:
        """What DRS is doing where that is no sign of trouble: with no lag beside it, "lagging" puzzles people."""
        return {"CREATING_SNAPSHOT": "taking a snapshot", "RESCAN": "comparing its disks"}.get(
            self.replication_state, ""
        )

    @property
    def last_launch(self) -> str:
        """DRS's lastLaunchResult as a person says it."""
        return self.last_launch_result.replace("_", " ").capitalize() or "–"


class RecoveryInstanceQuerySet(models.QuerySet["RecoveryInstance"]):
    """How the inventory of recovery instances is read."""

    def up(self) -> "RecoveryInstanceQuerySet":
        """Instances that are there, stopped ones too, whoever launched them."""
        return self.exclude(ec2_state__in=sorted(GONE))

    def production(self) -> "RecoveryInstanceQuerySet":
        """Instances that are there and not known to be a drill's, whoever launched them."""
        return self.up().exclude(is_drill=True)


class RecoveryInstance(models.Model):
    """A recovery instance as DRS last described it, of whichever launch. One that DRS lists no more has no row."""

    recovery_instance_id = models.CharField(max_length=19, primary_key=True)
    source_server_id = models.CharField(max_length=19, db_index=True)
    account_id = models.CharField(max_length=12)
    region = models.CharField(max_length=32)
    is_drill = models.BooleanField(null=True, help_text="As DRS says; null where it does not")
    ec2_state = models.CharField(max_length=32, blank=True)
    job_id = models.CharField(max_length=24, blank=True)
    initiated_by = models.CharField(max_length=64, null=True, help_text="What its job is, null until DRS was asked")  # noqa: DJ001  (empty: DRS does not know the job any more)
    launched_at = models.DateTimeField(null=True, help_text="When DRS made its job")
    point_in_time = models.DateTimeField(null=True)
    seen_at = models.DateTimeField()

    objects = RecoveryInstanceQuerySet.as_manager()

    class Meta:
        ordering = ["recovery_instance_id"]
        indexes = [models.Index(fields=["region", "account_id", "seen_at"], name="recovery_instance_seen")]

    def __str__(self) -> str:
        return f"{self.recovery_instance_id} ({self.source_server_id})"


class RegionInventory(models.Model):
    """When and how well a region's servers were last read, and its recovery instances."""

    region = models.CharField(max_length=32, primary_key=True)
    account_id = models.CharField(max_length=12, blank=True)
    initialized = models.BooleanField(default=True)
    as_of = models.DateTimeField(null=True)
    tried_at = models.DateTimeField()
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    checks_error = models.TextField(blank=True, default="", db_default="", help_text="Why EC2 tells no status checks")
    actions_denied = models.TextField(
        blank=True, default="", db_default="", help_text="What of post-launch actions IAM does not allow"
    )
    rights_as_of = models.DateTimeField(null=True, help_text="When these two were asked for")
    capacity = models.JSONField(null=True, help_text="Quotas, free addresses and vCPUs, or why they are not known")
    capacity_as_of = models.DateTimeField(null=True, help_text="When these were asked for")
    templates_error = models.TextField(
        blank=True, default="", db_default="", help_text="Why EC2 does not tell launch templates"
    )
    running_jobs = models.JSONField(default=list, help_text="Ids and servers of the jobs that DRS worked on")
    jobs_as_of = models.DateTimeField(null=True)
    details_error = models.TextField(blank=True, help_text="Why jobs, snapshots or launch settings could not be read")
    instances_as_of = models.DateTimeField(null=True, help_text="When DRS was last asked for recovery instances")
    instances_account_id = models.CharField(max_length=12, blank=True, default="", db_default="")
    instances_error = models.TextField(
        blank=True, default="", db_default="", help_text="Why recovery instances could not be read"
    )

    class Meta:
        ordering = ["region"]
        verbose_name_plural = "region inventories"

    def __str__(self) -> str:
        return self.region
