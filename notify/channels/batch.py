"""Several messages to one receiver, sent one after the other by one thread. Nothing of the database."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from notify.channels.message import OutgoingMessage

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
        for message in self.messages:
            if self.stop.is_set() or time.monotonic() >= until:
                return
            try:
                send(message)
            except Exception as error:  # the worker says so of the delivery, with its cause
                self.failure = Failure(message.delivery_id, error)
                return
            self.sent.append(message.delivery_id)
