"""The journal over HTTP. It is only read there."""

from typing import Any, TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.models import AuditEntry
from audit.reading.entries import matching, page_of, read_time
from contract.clock import unix
from contract.rest import paging
from contract.rest.schema import describes
from contract.rest.serializers import LIMIT, TOKEN, UNIX_SECONDS, StrictSerializer, Text, read_query
from contract.rest.views import ApiView


class EntryQuery(StrictSerializer):
    """`from` and `to` are Unix seconds; Python has `from` for itself."""

    aliases = {"from": "since", "to": "until"}

    actor = Text(required=False)
    verb = Text(required=False)
    subject = Text(required=False)
    outcome = Text(required=False)
    since = Text(required=False, described=UNIX_SECONDS)
    until = Text(required=False, described=UNIX_SECONDS)
    limit = Text(required=False, described=LIMIT)
    nextToken = Text(required=False, described=TOKEN)


class EntriesAnswer(TypedDict):
    """One page of the journal."""

    items: list[dict[str, Any]]
    nextToken: str | None


class EntryList(ApiView):
    """Who did what, newest first."""

    @describes("listAuditEntries", "List the journal, newest first", answers={200: EntriesAnswer}, query=EntryQuery)
    def get(self, request: Request) -> Response:
        asked = read_query(request, EntryQuery)
        for name, field in (("since", "from"), ("until", "to")):
            if name in asked:
                asked[name] = read_time(asked[name], field)
        found, token = page_of(
            matching(asked), limit=paging.read_limit(asked.get("limit")), token=asked.get("nextToken")
        )
        return Response({"items": [show_entry(each) for each in found], "nextToken": token})


def show_entry(entry: AuditEntry) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "entryId": entry.pk,
        "at": unix(entry.at),
        "actor": entry.actor,
        "actorId": entry.actor_id,
        "actorKind": entry.actor_kind,
        "verb": entry.verb,
        "subjectKind": entry.subject_kind,
        "subjectId": entry.subject_id,
        "subjectName": entry.subject_name,
        "outcome": entry.outcome,
        "refused": entry.refused,
        "detail": entry.detail,
        "before": entry.before,
        "after": entry.after,
        "address": entry.address,
        "requestId": entry.request_id,
    }
