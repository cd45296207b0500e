"""One delivery as it is sent: everything that a channel needs, and nothing of the database."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

VERSION = 1  # of notifications; grows when a member changes its meaning or goes. Events of the stream bring their own


KEPT = frozenset({"deliveryId", "type", "version", "event", "at", "number", "executionId", "planId", "url", "leftOut"})


class DeliveryFailed(Exception):
    """The receiver did not take it, or it is not known that it did; in words for administrators."""


@dataclass(frozen=True)
class OutgoingMessage:
    """`delivery_id` stays the same however often it is sent: receivers know a repetition by it."""

    delivery_id: uuid.UUID
    channel: str
    target: str
    event: str
    execution_id: uuid.UUID | None
    subject: str
    text: str
    data: Mapping[str, Any]
    secret: str = ""
    at: datetime | None = None  # when it happened

    @property
    def type(self) -> str:
        """What programs sort it by: the type of an event of the stream, else which notification it is."""
        return str(self.data.get("type") or f"notification.{self.event.lower()}")

    @property
    def body(self) -> dict[str, Any]:
        """What programs get, as JSON."""
        said = {"deliveryId": str(self.delivery_id), "type": self.type, "version": VERSION, "text": self.text}
        return {**said, **self.data}

    def within(self, most: int) -> str:
        """The body as JSON of so many bytes at the most; what is left out for that is named in it, longest first."""
        body, left_out = dict(self.body), list[str]()
        while len(told := json.dumps(body)) > most:
            names = [each for each in body if each not in KEPT]
            if not names:
                return told
            longest = max(names, key=lambda each: len(json.dumps(body[each])))
            del body[longest]
            left_out.append(longest)
            body["leftOut"] = left_out
        return told
