"""Several messages to one receiver, sent one after the other by one thread, or several at once where a channel takes
that. Nothing of the database."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from notify.channels import eventbridge, webhook
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.states import Channel

Send = Callable[[OutgoingMessage], None]


@dataclass(frozen=True)
class Failure:
    """The message that did not get through, and why."""

    delivery_id: uuid.UUID
    error: Exception


@dataclass(eq=False)
class Batch:
    """In their order, until one fails, the time is up, or `stop` is set. Others read what was sent while it goes on."""

    messages: Sequence[OutgoingMessage]
    sent: list[uuid.UUID] = field(default_factory=list)
    failure: Failure | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, send: Send, seconds: float) -> None:
        """`seconds` is for beginning: what was begun by then may take as long as its channel allows."""
        until = time.monotonic() + seconds
        with webhook.one_connection():
            for part in _parts(self.messages):
                if self.stop.is_set() or time.monotonic() >= until:
                    return
                for message in self._together(part) if len(part) > 1 else part:
                    try:
                        send(message)
                    except Exception as error:  # the worker says so of the delivery, with its cause
                        self.failure = Failure(message.delivery_id, error)
                        return
                    self.sent.append(message.delivery_id)

    def _together(self, part: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Send them in one request; what is left of them, to be sent alone."""
        try:
            failures = eventbridge.put(part)
        except DeliveryFailed:
            return part  # of none is known that it was taken; alone, each says why
        self.sent += [each.delivery_id for each, failure in zip(part, failures, strict=True) if failure is None]
        return [each for each, failure in zip(part, failures, strict=True) if failure is not None]


def _parts(messages: Sequence[OutgoingMessage]) -> Iterable[Sequence[OutgoingMessage]]:
    """What one request takes: of EventBridge several, of every other channel one."""
    if messages and messages[0].channel == Channel.EVENTBRIDGE:
        return eventbridge.parts(messages)
    return ([each] for each in messages)
