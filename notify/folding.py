"""What is told when very much waits for one subscriber: of each run its newest state, which names the older ones.

Folded is only what a newer state of the same run has overtaken. That a run waits for a person is overtaken when it
goes on or is over, and is named then, too. What failed, timed out, came up late or outlives its lease is told by a
message of its own, always.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contract.clock import unix, utc
from contract.plurals import counted
from notify.channels.message import OutgoingMessage
from notify.models import Delivery
from notify.states import Event

OVERTAKEN = (Event.STARTED, Event.PAUSED, Event.RESUMED)
STATES = (*OVERTAKEN, Event.FINISHED, Event.FAILED)
MOST_AT_ONCE = 1_000  # deliveries that one batch settles, sent or folded
NAMED = 50  # older states that one message names


@dataclass(frozen=True)
class Waiting:
    """One delivery that waits, as far as folding looks at it."""

    pk: uuid.UUID
    run: uuid.UUID | None
    event: str
    happened_at: datetime

    @property
    def rank(self) -> tuple[datetime, bool]:
        """The later, the newer; the end of a run is newer than what happened in the same moment."""
        return self.happened_at, self.event not in OVERTAKEN


@dataclass(frozen=True)
class Bundle:
    """One message: the delivery that is sent, and those that it stands for."""

    sent: uuid.UUID
    folded: Sequence[uuid.UUID] = ()


def fold(queue: Sequence[Waiting], states: Iterable[Waiting]) -> list[Bundle]:
    """The messages for the front of a queue, in its order; a run's newest state takes the place of its first message.
    `states` are all that wait of these runs and tell a state."""
    of_run: dict[uuid.UUID | None, list[Waiting]] = defaultdict(list)
    for each in states:
        of_run[each.run].append(each)
    made: list[Bundle] = []
    settled: set[uuid.UUID] = set()
    for each in queue:
        bundles = _of_run(of_run.pop(each.run, []))
        if made and len(settled) + sum(1 + len(bundle.folded) for bundle in bundles) > MOST_AT_ONCE:
            break
        made += bundles
        settled.update(pk for bundle in bundles for pk in (bundle.sent, *bundle.folded))
        if each.pk not in settled:
            made.append(Bundle(each.pk))
            settled.add(each.pk)
    return made


def _of_run(states: Sequence[Waiting]) -> list[Bundle]:
    if not states:
        return []
    newest = max(states, key=lambda each: each.rank)
    others = sorted((each for each in states if each is not newest), key=lambda each: each.rank)
    folded = [each.pk for each in others if each.event in OVERTAKEN]
    return [Bundle(newest.pk, folded), *(Bundle(each.pk) for each in others if each.event not in OVERTAKEN)]


def naming(message: OutgoingMessage, folded: Sequence[Delivery]) -> OutgoingMessage:
    """The message, and what it stands for, newest first."""
    if not folded:
        return message
    notices = [each.notice for each in folded]
    shown = sorted(folded, key=lambda each: each.notice.happened_at, reverse=True)[:NAMED]
    lines = [f"- {utc(each.notice.happened_at)}: {each.notice.subject}" for each in shown]
    if len(notices) > NAMED:
        lines.append(f"- {counted(len(notices) - NAMED, 'earlier one')}, which the run’s page tells")
    told = [
        {
            "deliveryId": str(each.pk),
            "event": each.notice.event,
            "at": unix(each.notice.happened_at),
            "subject": each.notice.subject,
        }
        for each in shown
    ]
    text = "\n".join([message.text, "", "Earlier, and sent only here because many notifications waited:", *lines])
    return replace(message, text=text, data={**message.data, "folded": told, "foldedCount": len(notices)})
