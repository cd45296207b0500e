"""Subscriptions and deliveries as the API shows them."""

from typing import TypedDict

from contract.clock import unix
from notify.channels.recipients import shown
from notify.models import Delivery, Subscription


class SubscriptionShape(TypedDict):
    """Who is told. Without `planId` and `allPlans` false, its plan was deleted. The path of a webhook is for
    administrators."""

    subscriptionId: str
    name: str
    channel: str
    target: str
    allPlans: bool
    planId: str | None
    events: list[str]
    enabled: bool
    owner: str
    createdDate: int
    lastModifiedDate: int
    version: int


class SubscriptionSaved(SubscriptionShape):
    """As it was saved, and the signing key of a webhook if it is new; it is never shown again."""

    secret: str | None


class SubscriptionsAnswer(TypedDict):
    """All subscriptions, by name."""

    items: list[SubscriptionShape]
    count: int


class SubscriptionDeleted(TypedDict):
    subscriptionId: str
    message: str


class DeliveryShape(TypedDict):
    """One notification to one subscription, and what became of it. `error` is why the last attempt failed.
    `foldedInto` is the delivery whose message told this one, too, because very many were waiting."""

    deliveryId: str
    subscriptionId: str | None
    event: str
    executionId: str | None
    planName: str
    subject: str
    channel: str
    recipient: str
    status: str
    attempts: int
    createdDate: int
    lastAttempt: int | None
    nextAttempt: int | None
    endTime: int | None
    error: str
    foldedInto: str | None


class DeliveriesAnswer(TypedDict):
    """One page of deliveries, newest first."""

    items: list[DeliveryShape]
    nextToken: str | None


def show(subscription: Subscription, *, whole: bool) -> SubscriptionShape:
    """A subscription; `whole` is for those who may change it."""
    target = subscription.target
    return SubscriptionShape(
        subscriptionId=str(subscription.pk),
        name=subscription.name,
        channel=subscription.channel,
        target=target if whole else shown(subscription.channel, target),
        allPlans=subscription.all_plans,
        planId=str(subscription.plan_id) if subscription.plan_id else None,
        events=list(subscription.events),
        enabled=subscription.enabled,
        owner=subscription.owner,
        createdDate=unix(subscription.created_at),
        lastModifiedDate=unix(subscription.updated_at),
        version=subscription.version,
    )


def show_delivery(delivery: Delivery) -> DeliveryShape:
    """A delivery with its notice."""
    return DeliveryShape(
        deliveryId=str(delivery.pk),
        subscriptionId=str(delivery.subscription_id) if delivery.subscription_id else None,
        event=delivery.notice.event,
        executionId=str(delivery.notice.execution_id) if delivery.notice.execution_id else None,
        planName=delivery.notice.plan_name,
        subject=delivery.notice.subject,
        channel=delivery.channel,
        recipient=delivery.recipient,
        status=delivery.status,
        attempts=delivery.attempts,
        createdDate=unix(delivery.created_at),
        lastAttempt=unix(delivery.tried_at),
        nextAttempt=unix(delivery.next_try_at),
        endTime=unix(delivery.ended_at),
        error=delivery.error,
        foldedInto=str(delivery.folded_into) if delivery.folded_into else None,
    )
