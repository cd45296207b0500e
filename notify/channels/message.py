"""One delivery as it is sent: everything that a channel needs, and nothing of the database."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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

    @property
    def body(self) -> dict[str, Any]:
        """What programs get, as JSON."""
        return {"deliveryId": str(self.delivery_id), **self.data}
