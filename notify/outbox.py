"""Writes down what has to be told, in the transaction that makes it true. The delivery worker sends it afterwards."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from audit.safe_text import storable
from contract.names import visible
from notify.channels.recipients import shown
from notify.models import Delivery, Notice, Subscription, wanting
from notify.states import Event


@dataclass(frozen=True)
class Message:
    """What is told: a line, a text for people, and the same in figures for programs (JSON)."""

    subject: str
    text: str
    data: Mapping[str, Any]


def publish(
    event: Event,
    *,
    plan_id: uuid.UUID | None,
    plan_name: str,
    execution_id: uuid.UUID | None,
    at: datetime,
    write: Callable[[], Message],
) -> None:
    """Leave a notice for everybody who wants it. `write` is only called if anybody does. Call inside a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("what is told must be committed with what happened")
    to = wanting(event, plan_id)
    if to:
        put(event, to, write(), plan_name=plan_name, execution_id=execution_id, at=at)


def publish_to_all(
    event: Event, *, plan_name: str, execution_id: uuid.UUID, at: datetime, write: Callable[[], Message]
) -> None:
    """Leave a notice for every subscription, whatever it is for. Call inside a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("what is told must be committed with what happened")
    every = list(Subscription.objects.filter(enabled=True))
    if every:
        put(event, every, write(), plan_name=plan_name, execution_id=execution_id, at=at)


def put(
    event: Event,
    to: Sequence[Subscription],
    message: Message,
    *,
    at: datetime,
    due: datetime | None = None,
    plan_name: str = "",
    execution_id: uuid.UUID | None = None,
) -> Notice:
    """The rows of one notice, due when it happened, that is at once, or at `due`."""
    due = due or at
    notice = Notice.objects.create(
        event=event,
        execution_id=execution_id,
        plan_name=plan_name,
        subject=visible(message.subject)[:300],
        text=visible(message.text, keep="\n"),
        data=storable(message.data),
        happened_at=at,
    )
    Delivery.objects.bulk_create(
        Delivery(
            notice=notice,
            subscription=each,
            channel=each.channel,
            recipient=shown(each.channel, each.target),
            created_at=due,
            next_try_at=due,
        )
        for each in to
    )
    return notice
