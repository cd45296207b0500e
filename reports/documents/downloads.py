"""A report as a file, under a name that says of which run it is."""

import re
from unicodedata import category, normalize
from urllib.parse import quote

from django.http import HttpResponse

from executions.models import Execution
from reports.made.forms import Form

KINDS = {Form.JSON: "application/json", Form.CSV: "text/csv; charset=utf-8", Form.PDF: "application/pdf"}
LONGEST = 80  # characters of a plan's name


def download(made: bytes, form: Form, execution: Execution) -> HttpResponse:
    """The report in one of these forms, to save."""
    return attachment(made, KINDS[form], name_of("report", execution, form))


def name_of(what: str, execution: Execution, ending: str) -> str:
    """report-Payments-run-117-2026-11-29.pdf: plan, run and the day it was started (UTC)."""
    called = execution.called.replace(" ", "-")
    return f"{_joined(what, safe(execution.plan_name), called, f'{execution.started_at:%Y-%m-%d}')}.{ending}"


def attachment(content: bytes, kind: str, name: str) -> HttpResponse:
    """An answer that a browser saves, and no cache keeps."""
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = disposition(name)
    response["Cache-Control"] = "no-store"
    return response


def disposition(name: str) -> str:
    """RFC 6266: a name with other letters than ASCII stands there twice, first without them."""
    stem, _, ending = name.rpartition(".")
    plain = f"{_joined(normalize('NFKD', stem).encode('ascii', 'ignore').decode())}.{ending}"
    whole = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{whole}'


def safe(text: str) -> str:
    """Letters and digits of any script, and dashes for all else: nothing that a file system or a shell takes for more
    than a name."""
    kept = "".join(each if category(each)[0] in "LNM" else "-" for each in normalize("NFC", text))
    return re.sub("-+", "-", kept)[:LONGEST].strip("-")


def _joined(*parts: str) -> str:
    return re.sub("-+", "-", "-".join(filter(None, parts))).strip("-")
