"""Who wants to be told, what happened, and each delivery with its fate. A delivery is the outbox: it is written in the
transaction of what it tells, and sent afterwards."""

import uuid
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from contract.storage.prepared import Asked, Prepared
from notify.states import Channel, DeliveryStatus, Event, label_of
from plans.models import RecoveryPlan

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Subscription(models.Model):
    """Whoever is told of a plan's runs, or of all runs. After its plan was deleted it is told of none."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=128)
    channel = models.CharField(max_length=11, choices=Channel.choices)
    target = models.CharField(max_length=1024, help_text="A topic's ARN, an address, a URL, or an event bus")
    all_plans = models.BooleanField(default=True)
    plan = models.ForeignKey(
        RecoveryPlan, null=True, blank=True, on_delete=models.SET_NULL, related_name="subscriptions"
    )
    events = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    sealed_secret = models.TextField(blank=True, editable=False, help_text="A webhook's signing key, encrypted")
    owner = models.CharField(max_length=254, editable=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    deliveries: "RelatedManager[Delivery]"
    plan_id: uuid.UUID | None

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(all_plans=False) | Q(plan=None), name="subscription_all_or_one_plan")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def what(self) -> str:
        """The events in words."""
        return ", ".join(label_of(each) for each in self.events)


class Notice(models.Model):
    """One thing that happened, in the words and figures of that moment. The run may be gone when it is read."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.CharField(max_length=11, choices=Event.choices)
    execution_id = models.UUIDField(null=True, db_index=True)
    plan_name = models.CharField(max_length=128, blank=True)
    subject = models.CharField(max_length=300)
    text = models.TextField()
    data = models.JSONField(default=dict)
    happened_at = models.DateTimeField()

    class Meta:
        ordering = ["-happened_at", "-id"]

    def __str__(self) -> str:
        return self.subject


_OF_ALL = Prepared(lambda: Subscription.objects.filter(all_plans=True, enabled=True))
_OF_PLAN = Prepared(
    lambda: Subscription.objects.filter(Q(all_plans=True) | Q(plan=Asked(Subscription, "plan")), enabled=True)
)


def wanting(event: Event, plan_id: uuid.UUID | None) -> list[Subscription]:
    """Those that are switched on and want this event of this plan."""
    found = _OF_PLAN.objects(plan=plan_id) if plan_id else _OF_ALL.objects()
    return [each for each in found if event in each.events]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """How deliveries are read."""

    def newest_first(self) -> "DeliveryQuerySet":
        """The order of every list and of its cursor."""
        return self.order_by("-created_at", "-id")


class Delivery(models.Model):
    """One notice to one subscription. Whoever sends it holds `claim` until `next_try_at`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    # No constraint: a subscription that is deleted at this very moment must not make a run's transition fail.
    subscription = models.ForeignKey(
        Subscription, null=True, on_delete=models.SET_NULL, related_name="deliveries", db_constraint=False
    )
    channel = models.CharField(max_length=11, choices=Channel.choices)
    recipient = models.CharField(max_length=300, help_text="As it may be shown to everybody")
    status = models.CharField(max_length=9, choices=DeliveryStatus.choices(), default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why the last attempt failed")
    created_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(null=True, help_text="When to send it; also the end of the sender's lease")
    claim = models.UUIDField(null=True, help_text="Fencing token of whoever sends it")
    folded_into = models.UUIDField(
        null=True, help_text="The delivery that told this one, too, as very many were waiting (notify.folding)"
    )

    objects = DeliveryQuerySet.as_manager()
    subscription_id: uuid.UUID | None

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["notice", "subscription"], name="delivery_once_a_subscription"),
            models.CheckConstraint(
                condition=Q(status=DeliveryStatus.PENDING, next_try_at__isnull=False)
                | (~Q(status=DeliveryStatus.PENDING) & Q(next_try_at=None)),
                name="delivery_is_due_while_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="delivery_due"),
            models.Index(
                fields=["subscription", "next_try_at"], condition=Q(next_try_at__isnull=False), name="delivery_turn"
            ),
            models.Index(fields=["claim"], condition=Q(claim__isnull=False), name="delivery_claimed"),
            models.Index(fields=["-created_at", "-id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.notice} to {self.recipient}"

    @property
    def state(self) -> DeliveryStatus:
        """The status with its label and tone."""
        return DeliveryStatus.of(self.status)


class StreamMark(models.Model):
    """One row: the number of the last event of the stream that subscriptions were told."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True)
    number = models.BigIntegerField()

    def __str__(self) -> str:
        return f"told up to {self.number}"
