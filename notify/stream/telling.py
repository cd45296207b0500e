"""Tells subscriptions of every event of the stream, in its order and once each, whichever engine looks first.

How far they were told is one row, which is moved in the transaction that writes the notices: a killed engine leaves
nothing out and tells nothing twice. What happened before anybody subscribed is for `GET /events?after=`.
"""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce

from audit.models import AuditSeal
from audit.reading import stream
from audit.reading.stream import EventShape
from contract.events.declared import TYPES
from contract.storage.prepared import Prepared
from notify import outbox
from notify.models import StreamMark, Subscription
from notify.outbox import Message
from notify.states import Event

BATCH = 200
DATA_MAX = 32_000  # bytes of an event's data in a message: SNS takes 256 KB, and gets the body several times
# What comes of telling itself: it would go on for ever.
NOT_TOLD = "notification."

PlansOf = Callable[[Collection[str]], Mapping[str, uuid.UUID | None]]


def _news() -> QuerySet[AuditSeal, tuple[int]]:
    """One entry that nobody was told of, if any."""
    told = StreamMark.objects.filter(pk=StreamMark.ONLY).values("number")[:1]
    return AuditSeal.objects.filter(seq__gt=Coalesce(Subquery(told), -1)).order_by().values_list("seq")[:1]


_NEWS = Prepared(_news)


def tell(now: datetime, plans_of: PlansOf) -> int:
    """Write notices of what was sealed since the last time; answers how many events were read. One query when there is
    nothing. `plans_of` knows the plan of each of these runs."""
    if _NEWS.row() is None:
        return 0
    mark = StreamMark.objects.filter(pk=StreamMark.ONLY).first()
    wanting = [each for each in Subscription.objects.filter(enabled=True) if Event.STREAM in each.events]
    if mark is None or not wanting:
        _skip(mark)
        return 0
    part = stream.after(mark.number, BATCH)
    events = [each for each in part.events if not each["type"].startswith(NOT_TOLD)]
    plans = _plans(events, plans_of)
    with transaction.atomic():
        if StreamMark.objects.filter(pk=StreamMark.ONLY, number=mark.number).update(number=part.last):
            for place, (event, plan) in enumerate(zip(events, plans, strict=True)):
                _put(event, plan, wanting, now - timedelta(microseconds=len(events) - place))  # the outbox's order
            return len(part.events)
    return 0  # another engine was faster


def _skip(mark: StreamMark | None) -> None:
    """Nobody wants what has happened until now."""
    last = AuditSeal.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    if mark is None:
        StreamMark.objects.get_or_create(pk=StreamMark.ONLY, defaults={"number": last})
    else:
        StreamMark.objects.filter(pk=StreamMark.ONLY, number=mark.number).update(number=last)


def _plans(events: Sequence[EventShape], plans_of: PlansOf) -> list[uuid.UUID | None]:
    """The plan that each is about."""
    runs = {each["subject"]["id"] for each in events if each["subject"]["kind"] == "execution"}
    known = plans_of(runs) if runs else {}
    return [_plan(each, known) for each in events]


def _plan(event: EventShape, known: Mapping[str, uuid.UUID | None]) -> uuid.UUID | None:
    subject = event["subject"]
    if subject["kind"] == "plan":
        return _uuid(subject["id"])
    return known.get(subject["id"]) if subject["kind"] == "execution" else None


def _put(event: EventShape, plan: uuid.UUID | None, wanting: Sequence[Subscription], due: datetime) -> None:
    to = [each for each in wanting if each.all_plans or (plan is not None and each.plan_id == plan)]
    if to:
        subject = event["subject"]
        outbox.put(
            Event.STREAM,
            to,
            _message(event),
            at=datetime.fromtimestamp(event["time"], UTC),
            due=due,
            plan_name=subject["name"][:128] if subject["kind"] in ("execution", "plan") else "",
            execution_id=_uuid(subject["id"]) if subject["kind"] == "execution" else None,
        )


def _message(event: EventShape) -> Message:
    subject = event["subject"]
    name = subject["name"] or subject["id"]
    kind = event["type"]
    says = TYPES[kind].says if kind in TYPES else "Something of a newer version."
    text = f"{kind}: {says}\n\nOf: {subject['kind']} {name}\nBy: {event['actor']}\nNumber: {event['number']}"
    return Message(f"{kind}: {name}", text, {"event": Event.STREAM.value, **as_sent(event)})


def as_sent(event: EventShape) -> EventShape:
    """The event as a message carries it: without data that no message could hold. `GET /events` has that."""
    if len(json.dumps(event["data"]).encode()) <= DATA_MAX:
        return event
    return EventShape(**{**event, "data": {"leftOut": True}})


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
