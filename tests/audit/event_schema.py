"""`python -m tests.audit.event_schema` writes docs/schema/events-v1.json anew."""

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.events.declared import TYPES
from contract.events.schema import schema

if TYPE_CHECKING:
    from audit.models import AuditEntry

PATH = Path(__file__).resolve().parents[2] / "docs" / "schema" / "events-v1.json"


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


@cache
def _check(only: str = "") -> Any:
    """The schema; of its many types `only` this one, where time matters: no event can be of two."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator(schema() | ({"oneOf": [{"$ref": f"#/$defs/{only}"}]} if only in TYPES else {}))


def faults(events: Iterable[Any], *, by_type: bool = False) -> list[str]:
    """What the schema says of events: those of the stream, or of messages."""
    return [
        f"{each['type']}: {_told(error)}"
        for each in events
        for error in _check(each["type"] if by_type else "").iter_errors(each)
    ]


def _told(error: Any) -> str:
    """Of the many types, what its own says."""
    own = [each for each in error.context or [] if list(each.absolute_path)[:1] == ["data"]]
    return "; ".join(f"{error.message[:200]}" for error in own[:5]) or error.message[:400]


def faults_of(entries: "Iterable[AuditEntry]") -> list[str]:
    """What the schema says of entries of the journal, as the stream will have them."""
    from audit.reading.stream import PRIVATE, event_of

    told = (event_of(1, each) for each in entries if not each.refused and each.subject_kind not in PRIVATE)
    return faults(told, by_type=True)


if __name__ == "__main__":
    PATH.write_text(text())
    sys.stdout.write(f"{PATH.name} written\n")
