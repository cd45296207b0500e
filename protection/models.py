"""Protection groups, which server belongs to which, and the inventory of what DRS last told us."""

import uuid
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import Now

from accounts import registry
from accounts.registry import name_of, way_of
from contract.labels.rows import LabelRow, having_any, labeled
from contract.labels.rules import Wanted
from contract.names import name_key
from contract.rights import Reach
from drs.shapes import GONE
from protection.states import (
    BY_REPLICATION_STATE,
    CONTINUOUS,
    EXTENSION_ERROR,
    FAILBACK,
    SNAPSHOT,
    ServerState,
    replication_trouble,
    server_state,
)

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class ProtectionGroupQuerySet(models.QuerySet["ProtectionGroup"]):
    """How groups are read."""

    def named(self, text: str) -> "ProtectionGroupQuerySet":
        """Groups whose name contains `text`, whatever its case."""
        return self.filter(name_key__contains=name_key(text))

    def labeled(self, wanted: Iterable[Wanted]) -> "ProtectionGroupQuerySet":
        """Groups that have all these labels."""
        return labeled(self, GroupLabel.objects, wanted)

    def seen_by(self, reach: Reach) -> "ProtectionGroupQuerySet":
        """Groups that somebody sees: by a label, or because of their account."""
        if reach.everywhere:
            return self
        labeled = Q(pk__in=having_any(GroupLabel.objects, reach.labels))
        return self.filter(labeled | Q(account_id__in=reach.accounts))

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
    match = models.JSONField(
        null=True, help_text="Of a group that follows: tags and host name by which its servers are found"
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    objects = ProtectionGroupQuerySet.as_manager()
    assignments: "RelatedManager[ServerAssignment]"
    labels: "RelatedManager[GroupLabel]"

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


class GroupLabel(LabelRow):
    """A label of a group. The database does not tie it to its group: the version before deletes groups, too."""

    OWNER: ClassVar = "group"

    group = models.ForeignKey(ProtectionGroup, on_delete=models.CASCADE, related_name="labels", db_constraint=False)

    class Meta(LabelRow.Meta):
        constraints = [models.UniqueConstraint(fields=["group", "key"], name="group_label_once")]
        indexes = [models.Index(fields=["key", "value", "group"], name="group_label")]


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

    def read_by(self, way: str) -> "SourceServerQuerySet":
        """Those of the account that is entered by its role; without one, those that our own credentials were told."""
        if way:
            return self.filter(account_id=way)
        others = [each for each in registry.known() if way_of(each)]
        return self.exclude(account_id__in=others) if others else self

    def matching(self, text: str) -> "SourceServerQuerySet":
        """Servers whose name or id contains `text`."""
        return self.filter(Q(name__icontains=text) | Q(source_server_id__icontains=text))

    def seen_by(self, reach: Reach, *, with_free: bool) -> "SourceServerQuerySet":
        """Servers of groups that somebody sees, and of accounts; `with_free` also those that no group has."""
        if reach.everywhere:
            return self
        groups = ProtectionGroup.objects.order_by().seen_by(reach).values("pk")
        assigned = ServerAssignment.objects.order_by().filter(group__in=groups).values("source_server_id")
        found = Q(pk__in=assigned) | Q(account_id__in=reach.accounts)
        if with_free:
            found |= ~Q(Exists(ServerAssignment.objects.filter(source_server_id=OuterRef("pk"))))
        return self.filter(found)

    def counted_as(self, states: Collection[ServerState]) -> "SourceServerQuerySet":
        """Servers whose `counted_state` is one of these, asked of the database."""
        return self.filter(self.condition_of(states))

    @staticmethod
    def condition_of(states: Collection[ServerState]) -> Q:
        """The condition for that."""
        trouble = ~Q(replication_error="") | Q(staging_status=EXTENSION_ERROR) | Q(replication_direction=FAILBACK)
        found = Q(pk__in=())
        for state in states:
            said = [word for word, each in BY_REPLICATION_STATE.items() if each is state and word != SNAPSHOT]
            match state:
                case ServerState.READY_FOR_RECOVERY:
                    found |= Q(replication_state__in=[*said, SNAPSHOT]) & ~trouble
                case ServerState.STALLED:
                    found |= Q(replication_state__in=said) | (Q(replication_state__in=[CONTINUOUS, SNAPSHOT]) & trouble)
                case ServerState.LAGGING:
                    found |= Q(replication_state__in=said) | ~Q(replication_state__in=list(BY_REPLICATION_STATE))
                case _:
                    found |= Q(replication_state__in=said)
        return found

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
    extended_of = models.CharField(
        max_length=19, blank=True, default="", db_default="", help_text="Its original in the staging account"
    )
    agent_silent_since = models.DateTimeField(null=True, help_text="When its agent was last seen, if that is long ago")
    copied_percent = models.PositiveSmallIntegerField(null=True, help_text="How far its copy is; null: none under way")
    copy_ends_at = models.DateTimeField(null=True, help_text="When DRS expects its copy to be over")
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
    def lag(self) -> int | None:
        """How far its copy is behind, as pages show it: nothing is behind where there is no copy yet."""
        return None if self.never_copied else self.lag_seconds

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
    def counted_state(self) -> ServerState:
        """The state as lists count it: the snapshot that DRS takes every few minutes takes nobody's readiness away."""
        state = CONTINUOUS if self.replication_state == SNAPSHOT else self.replication_state
        return server_state(state, self.trouble)

    @property
    def routine(self) -> str:
        """What DRS does with it in the ordinary course of things, which is no lag; empty when nothing."""
        return {"CREATING_SNAPSHOT": "Taking a snapshot", "RESCAN": "Comparing disks"}.get(self.replication_state, "")

    @property
    def never_copied(self) -> bool:
        """Whether its first copy is not over, so that there is nothing to launch it from."""
        return self.state is ServerState.SYNCING

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
        """Instances that are there and not known to be a drill's, or replicated back, whoever launched them."""
        return self.up().exclude(is_drill=True, failback_state="")


class RecoveryInstance(models.Model):
    """A recovery instance as DRS last described it, of whichever launch. One that DRS lists no more has no row."""

    recovery_instance_id = models.CharField(max_length=19, primary_key=True)
    source_server_id = models.CharField(max_length=19, db_index=True)
    account_id = models.CharField(max_length=12)
    region = models.CharField(max_length=32)
    is_drill = models.BooleanField(null=True, help_text="As DRS says; null where it does not")
    ec2_state = models.CharField(max_length=32, blank=True)
    failback_state = models.CharField(max_length=48, blank=True, default="", db_default="")
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

    @property
    def is_protected(self) -> bool:
        """Whether somebody replicates it back, which DRS calls protecting it."""
        return bool(self.failback_state)


class RegionInventoryQuerySet(models.QuerySet["RegionInventory"]):
    """How readings are found."""

    def of(self, account: str, region: str) -> "RegionInventoryQuerySet":
        """The reading of an account's region."""
        return self.filter(region=region, way=way_of(account))


class RegionInventory(models.Model):
    """When and how well the servers of an account's region were last read, and its recovery instances."""

    region = models.CharField(max_length=32)
    way = models.CharField(
        max_length=12,
        blank=True,
        default="",
        db_default="",
        help_text="The account by whose role it is read; empty: that of our own credentials, whichever that is",
    )
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
    left_out = models.JSONField(null=True, help_text="Ids of servers that the inventory has of another account")
    instances_error = models.TextField(
        blank=True, default="", db_default="", help_text="Why recovery instances could not be read"
    )

    native_runs = models.JSONField(null=True, help_text="Executions of DRS's own recovery plans that were not over")
    native_as_of = models.DateTimeField(null=True, help_text="When DRS was last asked for those")
    native_error = models.TextField(
        blank=True, default="", db_default="", help_text="Why those could not be read the last time"
    )

    objects = RegionInventoryQuerySet.as_manager()

    class Meta:
        ordering = ["region", "way"]
        verbose_name_plural = "region inventories"
        constraints = [models.UniqueConstraint(fields=["region", "way"], name="region_read_once_a_way")]

    def __str__(self) -> str:
        return f"{self.region} of {name_of(self.way)}" if self.way else self.region

    @property
    def owner(self) -> str:
        """The account that it is about, as far as it is known."""
        return self.way or self.account_id
