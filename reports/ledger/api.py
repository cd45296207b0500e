"""The ledger over HTTP: JSON, CSV or PDF."""

from collections.abc import Callable

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import db_clock
from contract.errors import Invalid
from contract.rest.schema import describes
from contract.rest.serializers import AccountId, OneOf, StrictSerializer, Text, read_query
from contract.rest.views import ApiView
from reports.documents.downloads import attachment
from reports.ledger.figures import DAYS, ledger
from reports.ledger.files import as_csv, as_pdf
from reports.ledger.record import LedgerShape, record
from reports.sentences import clock

DAYS_MAX = 3_650


def _csv(found: LedgerShape) -> bytes:
    return as_csv(found).encode()


MAKERS: dict[str, tuple[Callable[[LedgerShape], bytes], str]] = {
    "csv": (_csv, "text/csv; charset=utf-8"),
    "pdf": (as_pdf, "application/pdf"),
}


class LedgerQuery(StrictSerializer):
    days = Text(required=False, described={"type": "integer", "minimum": 1, "maximum": DAYS_MAX, "default": DAYS})
    accountId = AccountId()
    format = OneOf(choices=["json", *MAKERS], required=False)


def read_days(text: str | None) -> int:
    """For how many days a launch counts. Raises Invalid."""
    if text is None:
        return DAYS
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= DAYS_MAX):
        raise Invalid({"days": [f"A whole number from 1 to {DAYS_MAX:,} is expected."]})
    return int(text)


def file_of(found: LedgerShape, form: str) -> HttpResponse:
    """The ledger as a file to save."""
    make, kind = MAKERS[form]
    of = f"-{found['accountId']}" if found["accountId"] else ""
    return attachment(make(found), kind, f"ledger{of}-{clock(found['asOf'])[:10]}.{form}")


class LedgerView(ApiView):
    """What has proven that it comes up."""

    @describes(
        "getLedger",
        "Get what has proven that it comes up: per plan and server the last launch, and what was achieved",
        answers={200: LedgerShape},
        query=LedgerQuery,
        files=["text/csv", "application/pdf"],
    )
    def get(self, request: Request) -> HttpResponse:
        asked = read_query(request, LedgerQuery)
        days, account, form = read_days(asked.get("days")), asked.get("accountId", ""), asked.get("format", "json")
        found = record(ledger(db_clock(), days, account))
        return Response(found) if form == "json" else file_of(found, form)
