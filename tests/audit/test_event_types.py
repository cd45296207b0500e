"""Types of events are declared once: the schema is made of that, and no verb of the journal is missing."""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from audit.reading.stream import PRIVATE
from contract.events.declared import TYPES
from contract.events.schema import schema
from tests.audit import event_schema
from tests.test_architecture import ROOMS

ROOT = Path(settings.BASE_DIR)
WRITERS = {"record", "note", "journal", "attempt"}


def test_the_schema_is_the_declared_one() -> None:
    assert event_schema.PATH.read_text() == event_schema.text(), event_schema.__doc__
    Draft202012Validator.check_schema(schema())


def _written() -> Iterator[str]:
    """What the product writes into its journal by a verb that stands in the call."""
    for room in set(ROOMS) - {"drs_simulator"}:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    given = [*node.args[:4], *(each.value for each in node.keywords if each.arg == "verb")]
                    words = [each.value for each in given if isinstance(each, ast.Constant)]
                    if name.strip("_").split("_")[0] in WRITERS:
                        yield from (word for word in words if isinstance(word, str) and word.count(".") in (1, 2))


def test_every_verb_of_the_journal_is_a_declared_type() -> None:
    found = {*_written(), *settings.JOURNAL_VERBS.values()}
    assert {"execution.start", "wave.started", "lease.extend", "terminate.sent", "readiness.changed"} <= found
    missing = {each for each in found if each not in TYPES and each.split(".")[0] not in PRIVATE}
    assert not missing, "declare them in contract/events/, then python -m tests.audit.event_schema"


def test_the_schema_tells_good_events_from_bad_ones() -> None:
    good = {
        "number": 7, "type": "wave.started", "version": 1, "time": 1, "actor": "engine", "actorKind": "engine",
        "subject": {"kind": "execution", "id": "1", "name": "ERP"}, "outcome": "ok", "data": {"wave": 0, "attempt": 1},
    }  # fmt: skip
    assert event_schema.faults([good]) == []
    assert event_schema.faults([{**good, "data": {"leftOut": True}}]) == []
    for bad in ({"data": {"wave": "0", "attempt": 1}}, {"data": {"wave": 0}}, {"type": "wave.began"}, {"version": 2}):
        assert event_schema.faults([{**good, **bad}]), bad
        assert event_schema.faults([{**good, **bad}], by_type=True), bad
    assert event_schema.faults([good], by_type=True) == []
