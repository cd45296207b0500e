"""Lists as CSV, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.http import HttpResponse
from django.utils.text import slugify

from contract.clock import stamp
from drsorch_verify.tables import safe

MOST = 10_000  # rows of a file


def sheet(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]], day: datetime) -> HttpResponse:
    """RFC 4180 with a header, every cell quoted; times in UTC as ISO 8601. At most MOST rows are given to it."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            [safe(stamp(cell) if isinstance(cell, datetime) else "" if cell is None else cell) for cell in row]
        )
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slugify(name)}-{day:%Y-%m-%d}.csv"'
    return response
