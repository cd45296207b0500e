"""The JSON Schema of events, made of their declaration; kept in docs/schema/ for those who receive them."""

from contract.events.declared import TYPES
from contract.events.members import EventType, Kind, Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT, _WHOLE = Kind.TEXT.value, Kind.WHOLE.value


def schema() -> Schema:
    """Of one event. What is not named may come: ignore it."""
    names = {
        "number": {**_WHOLE, "description": "Its place in the stream: what to ask for `after`"},
        "type": {"enum": sorted(TYPES)},
        "version": _WHOLE,
        "time": Kind.TIME.value,
        "subject": _object({"kind": _TEXT, "id": _TEXT, "name": _TEXT}),
        "actor": _TEXT,
        "actorKind": _TEXT,
        "outcome": {**_TEXT, "description": "ok, a code, or the status of a run that is over"},
        "data": {"type": "object"},
    }
    return {
        "$schema": DIALECT,
        "title": "Events of DRS Orchestration",
        **_object(names),
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(TYPES)],
        "$defs": {name: _of_type(name, TYPES[name]) for name in sorted(TYPES)},
    }


def _of_type(name: str, declared: EventType) -> Schema:
    data = {
        "type": "object",
        "properties": {key: each.schema for key, each in declared.data.items()},
        "required": [key for key, each in declared.data.items() if not each.optional],
        "additionalProperties": True,
    }
    left_out = {"type": "object", "properties": {"leftOut": {"const": True}}, "required": ["leftOut"]}
    return {
        "description": declared.says,
        "properties": {
            "type": {"const": name},
            "version": {"const": declared.version},
            "data": {"anyOf": [data, left_out]},
        },
    }


def _object(names: Schema) -> Schema:
    return {"type": "object", "properties": names, "required": list(names), "additionalProperties": True}
