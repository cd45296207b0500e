"""The report as CSV: a line for each server, safe to open in a spreadsheet.

It stands here, and not with the report, so that the verifier makes the same of report.json.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Literal

from drsorch_verify.visible import visible

Json = Mapping[str, Any]

COLUMNS = [
    "executionId",
    "planName",
    "executionType",
    "status",
    "waveNumber",
    "waveName",
    "sourceServerId",
    "hostname",
    "launchStatus",
    "recoveryInstanceId",
    "launchTime",
    "rtoSeconds",
    "tookSeconds",
    "queueSeconds",
    "quotaSeconds",
    "cleanupSeconds",
    "snapshotSeconds",
    "conversionSeconds",
    "launchSeconds",
    "pointInTime",
    "lagSeconds",
    "rpoSeconds",
    "rpoReached",
    "usedPreviousSnapshot",
    "recoverySnapshotId",
    "snapshotTime",
    "error",
]
LAG = "lagSeconds"
CHOSEN = ("recoverySnapshotId", "snapshotTime")
# What a spreadsheet would take for the beginning of a formula, in full width as well; at the beginning of a cell, or
# behind a semicolon, which many locales take for the end of one, quoted or not.
FORMULA = "=+@|%\uff1d\uff0b\uff20\uff5c\uff05\ufe62\ufe66\ufe6a\ufe6b\ufe63\uff0d\u2212-"
_BEGINS = re.compile(rf"((?:\A|[;\uff1b])[\s\"']*)(?=[{FORMULA}])")
# Of versions before 1.1.0, whose packs still hold.
_FORMULA_BEFORE = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def as_csv(record: Json) -> str:
    """RFC 4180 with a header, every cell quoted; times in UTC as ISO 8601."""
    return _table(record, csv.QUOTE_ALL, safe)


def as_csv_before(record: Json) -> str:
    """The same of versions before 1.1.0."""
    return _table(record, csv.QUOTE_MINIMAL, _safe_before)


def _table(record: Json, quoting: Literal[0, 1], shown: Callable[[object], object]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting)
    servers = [each for wave in record["waves"] for each in wave["servers"]]
    later = [name for name in (LAG, *CHOSEN) if not any(name in each for each in servers)]
    kept = [name not in later for name in COLUMNS]  # these were not there before version 1.1.0
    writer.writerow(compress(COLUMNS, kept))
    for wave in record["waves"]:
        for server in wave["servers"]:
            writer.writerow([shown(cell) for cell in compress(_cells(record, wave, server), kept)])
    return out.getvalue()


def safe(cell: object) -> object:
    """Text that a spreadsheet takes for text, in one line and with nothing hidden: a quote before anything that could
    begin a formula."""
    return _BEGINS.sub(r"\1'", visible(cell)) if isinstance(cell, str) else cell


def _safe_before(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip().startswith(_FORMULA_BEFORE) else cell


def _cells(record: Json, wave: Json, server: Json) -> list[object]:
    split = server["split"]
    return [
        record["executionId"],
        record["planName"],
        record["executionType"],
        record["status"],
        wave["waveNumber"],
        wave["waveName"],
        server["sourceServerId"],
        server["hostname"],
        server["launchStatus"],
        server["recoveryInstanceId"],
        _iso(server["launchTime"]),
        server["rtoSeconds"],
        server["tookSeconds"],
        split["queue"],
        split["quota"],
        split["cleanup"],
        split["snapshot"],
        split["conversion"],
        split["launch"],
        _iso(server["pointInTime"]),
        server.get(LAG),
        server["rpo"]["seconds"],
        server["rpo"]["reached"],
        "yes" if server["usedPreviousSnapshot"] else "no",
        server.get(CHOSEN[0]),
        _iso(server.get(CHOSEN[1])),
        server["error"],
    ]


def _iso(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
