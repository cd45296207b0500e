"""The report as CSV: a line for each server, safe to open in a spreadsheet.

It stands here, and not with the report, so that the verifier makes the same of report.json.
"""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

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
    "rpoSeconds",
    "rpoReached",
    "usedPreviousSnapshot",
    "error",
]
# What a spreadsheet would take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def as_csv(record: Json) -> str:
    """RFC 4180 with a header; times in UTC as ISO 8601."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for wave in record["waves"]:
        for server in wave["servers"]:
            writer.writerow([safe(cell) for cell in _cells(record, wave, server)])
    return out.getvalue()


def safe(cell: object) -> object:
    """Text that a spreadsheet takes for text: a quote before anything that could begin a formula."""
    if isinstance(cell, str) and cell.lstrip().startswith(FORMULA):
        return f"'{cell}"
    return cell


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
        server["rpo"]["seconds"],
        server["rpo"]["reached"],
        "yes" if server["usedPreviousSnapshot"] else "no",
        server["error"],
    ]


def _iso(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
