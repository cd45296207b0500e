"""The stream of events over HTTP: for who comes back, from wherever they left it."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.reading import stream
from audit.reading.stream import EventShape
from contract.errors import Invalid
from contract.rest import paging
from contract.rest.schema import describes
from contract.rest.serializers import LIMIT, StrictSerializer, Text, read_query
from contract.rest.views import ApiView

AFTER_MAX = 10**15
UNKNOWN = (
    "There is no event {} yet. It is of another installation, or of the time before a backup was restored, since which"
    " numbers come again: begin at 0, or after the last one that you have from before the backup."
)


class EventsAnswer(TypedDict):
    """Events in their order. `next` is what to ask for `after` of the next time, also where there are none; `more`
    whether to ask at once."""

    items: list[EventShape]
    next: int
    more: bool


class EventQuery(StrictSerializer):
    after = Text(required=False, described={"type": "integer", "minimum": 0, "maximum": AFTER_MAX, "default": 0})
    limit = Text(required=False, described=LIMIT)


class EventList(ApiView):
    """The stream."""

    @describes(
        "listEvents", "Get what has happened after an event, oldest first", answers={200: EventsAnswer},
        query=EventQuery,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked = read_query(request, EventQuery)
        after = _after(asked.get("after", "0"))
        found = stream.after(after, paging.read_limit(asked.get("limit")))
        if not found.is_known:
            raise Invalid({"after": [UNKNOWN.format(after)]})
        return Response(EventsAnswer(items=list(found.events), next=found.last, more=found.more))


def _after(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and int(text) <= AFTER_MAX):
        raise Invalid({"after": ["The number of an event is expected, or 0."]})
    return int(text)
