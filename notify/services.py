"""What administrators can do with subscriptions, one function a verb."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import F

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import Invalid, NotFound
from contract.names import as_stored, hidden_fault
from contract.rest.etag import refuse_stale
from notify import outbox
from notify.channels.recipients import problem_of, shown
from notify.channels.signing import new_secret, seal
from notify.models import Delivery, Notice, Subscription
from notify.outbox import Message
from notify.states import SUBSCRIBABLE, Channel, DeliveryStatus, Event
from plans.models import RecoveryPlan

NAME_MAX = 128


@dataclass(frozen=True)
class Wanted:
    """A subscription as it shall be. `plan_id` None stands for all plans; `events` are values of Event."""

    name: str
    channel: str
    target: str
    plan_id: uuid.UUID | None
    events: Sequence[str]
    enabled: bool = True


@dataclass(frozen=True)
class Saved:
    """A subscription, and the signing key of a webhook if it is new: it is shown this once."""

    subscription: Subscription
    secret: str = ""


def get(subscription_id: uuid.UUID, *, for_update: bool = False) -> Subscription:
    """The subscription, or NotFound."""
    rows = Subscription.objects.select_for_update() if for_update else Subscription.objects.all()
    found = rows.filter(pk=subscription_id).first()
    if found is None:
        raise NotFound(f"There is no subscription {subscription_id}.", details={"subscriptionId": str(subscription_id)})
    return found


@attempt("subscription.create", "subscription", subject="name")
def create(*, actor: Actor, name: str, wanted: Wanted, clock: Clock = db_clock) -> Saved:
    """Have somebody told. Raises Forbidden, Invalid."""
    actor.require("notify.add_subscription", "add subscriptions")
    _check(wanted)
    secret = new_secret() if Channel(wanted.channel).is_signed else ""
    with transaction.atomic():
        _check_plan(wanted)
        subscription = Subscription(owner=actor.name, created_at=clock())
        _apply(subscription, wanted, secret)
        subscription.updated_at = subscription.created_at
        subscription.save()
        _journal(actor, "subscription.create", subscription, after=state(subscription))
    return Saved(subscription, secret)


@attempt("subscription.update", "subscription", subject="subscription_id")
def update(
    *,
    actor: Actor,
    subscription_id: uuid.UUID,
    wanted: Wanted,
    renew_secret: bool = False,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> Saved:
    """Change a subscription, all of it; what waits for delivery goes to the new target. A webhook with another address
    gets a new key, so that the old receiver cannot forge for the new one. Raises Forbidden, NotFound, VersionConflict,
    Invalid."""
    actor.require("notify.change_subscription", "change subscriptions")
    stored = get(subscription_id).name
    wanted = replace(wanted, name=as_stored(wanted.name.strip(), [stored]))
    _check(wanted, stored=stored)
    with transaction.atomic():
        subscription = get(subscription_id, for_update=True)
        refuse_stale(subscription.version, expected, f"The subscription “{subscription.name}”")
        _check_plan(wanted)
        before = state(subscription)
        is_signed = Channel(wanted.channel).is_signed
        moved = (subscription.channel, subscription.target) != (wanted.channel, wanted.target)
        secret = new_secret() if is_signed and (moved or renew_secret or not subscription.sealed_secret) else ""
        _apply(subscription, wanted, secret)
        subscription.version, subscription.updated_at = subscription.version + 1, clock()
        subscription.save()
        pending = subscription.deliveries.filter(status=DeliveryStatus.PENDING)
        pending.update(channel=wanted.channel, recipient=shown(wanted.channel, wanted.target))
        if moved:  # also what an engine has in hand: it finds its claim gone, and stops
            pending.filter(claim__isnull=False).update(claim=None, next_try_at=F("created_at"))
        detail = {"newSigningKey": True} if secret else {}
        _journal(actor, "subscription.update", subscription, before=before, after=state(subscription), detail=detail)
    return Saved(subscription, secret)


@attempt("subscription.delete", "subscription", subject="subscription_id")
def delete(
    *, actor: Actor, subscription_id: uuid.UUID, expected: Collection[int] | None = None, clock: Clock = db_clock
) -> Subscription:
    """Tell them no more; what waits for delivery is withdrawn. Raises Forbidden, NotFound, VersionConflict."""
    actor.require("notify.delete_subscription", "delete subscriptions")
    with transaction.atomic():
        subscription = get(subscription_id, for_update=True)
        refuse_stale(subscription.version, expected, f"The subscription “{subscription.name}”")
        subscription.deliveries.filter(status=DeliveryStatus.PENDING).update(
            status=DeliveryStatus.WITHDRAWN, next_try_at=None, claim=None, ended_at=clock()
        )
        _journal(actor, "subscription.delete", subscription, before=state(subscription))
        Subscription.objects.filter(pk=subscription.pk).delete()
    return subscription


@attempt("subscription.test", "subscription", subject="subscription_id")
def send_test(*, actor: Actor, subscription_id: uuid.UUID, clock: Clock = db_clock) -> Delivery:
    """Leave a test notification for one subscription, switched on or not. Raises Forbidden, NotFound, Invalid."""
    actor.require("notify.change_subscription", "send test notifications")
    subscription = get(subscription_id)
    reason = problem_of(subscription.channel, subscription.target)
    if reason:
        raise Invalid({"target": [reason]})
    with transaction.atomic():
        now = clock()
        text = f"{actor.name} sent this to test the subscription “{subscription.name}”. It is not about a run."
        message = Message(
            "DRS Orchestration: test", text, {"event": Event.TEST, "at": int(now.timestamp()), "message": text}
        )
        notice = outbox.put(Event.TEST, [subscription], message, at=now)
        _journal(actor, "subscription.test", subscription)
    return _only_delivery(notice)


def _only_delivery(notice: Notice) -> Delivery:
    return notice.deliveries.select_related("notice").get()


def _check(wanted: Wanted, *, stored: str = "") -> None:
    if fields := problems(wanted, stored=stored):
        raise Invalid(fields)


def problems(wanted: Wanted, *, stored: str = "") -> dict[str, list[str]]:
    """What the words alone show to be wrong, by field. `stored` is a name from before names were looked at."""
    fields: dict[str, list[str]] = {}
    name = wanted.name.strip()
    if not 1 <= len(name) <= NAME_MAX:
        fields["name"] = [f"A name of 1 to {NAME_MAX} characters is required."]
    elif fault := hidden_fault(name, [stored]):
        fields["name"] = [fault]
    if wanted.channel not in Channel.values:
        fields["channel"] = [f"Use {' or '.join(Channel.values)}."]
    elif reason := problem_of(wanted.channel, wanted.target.strip()):
        fields["target"] = [reason]
    unknown = [each for each in wanted.events if each not in SUBSCRIBABLE]
    if not wanted.events:
        fields["events"] = ["At least one event is required."]
    elif unknown:
        fields["events"] = [f"Use {', '.join(SUBSCRIBABLE)}; there is no {unknown[0][:32]}."]
    elif Event.JOURNAL in wanted.events and wanted.plan_id is not None:
        fields["events"] = ["The journal is one for all plans: subscribe to it for all plans, or leave it out."]
    elif Event.STREAM in wanted.events and wanted.channel == Channel.EMAIL:
        fields["events"] = ["The stream is for programs: use an SNS topic, a webhook or an event bus, or leave it out."]
    return fields


def _check_plan(wanted: Wanted) -> None:
    """The plan is kept from being deleted until the subscription is there."""
    if wanted.plan_id is not None:
        plans = RecoveryPlan.objects.select_for_update().filter(pk=wanted.plan_id)
        if plans.first() is None:
            raise Invalid({"planId": [f"There is no recovery plan {wanted.plan_id}."]})


def _apply(subscription: Subscription, wanted: Wanted, secret: str) -> None:
    subscription.name = wanted.name.strip()
    subscription.channel, subscription.target = wanted.channel, wanted.target.strip()
    subscription.all_plans, subscription.plan_id = wanted.plan_id is None, wanted.plan_id
    subscription.events = [each.value for each in SUBSCRIBABLE if each in wanted.events]
    subscription.enabled = wanted.enabled
    if secret:
        subscription.sealed_secret = seal(secret)
    elif not Channel(wanted.channel).is_signed:
        subscription.sealed_secret = ""


def state(subscription: Subscription) -> dict[str, Any]:
    """A subscription as the journal keeps it: everybody reads that, so without what a webhook's path gives away."""
    return {
        "name": subscription.name,
        "channel": subscription.channel,
        "target": shown(subscription.channel, subscription.target),
        "planId": str(subscription.plan_id) if subscription.plan_id else None,
        "allPlans": subscription.all_plans,
        "events": subscription.events,
        "enabled": subscription.enabled,
        "version": subscription.version,
    }


def _journal(actor: Actor, verb: str, subscription: Subscription, **kept: Any) -> None:
    record(actor, verb, subject_kind="subscription", subject_id=subscription.pk, subject_name=subscription.name, **kept)
