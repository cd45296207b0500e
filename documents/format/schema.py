"""The JSON Schema of documents, made of the very fields by which they are read; kept in docs/schema/ for editors.

Names are those of the API's own spelling; others that are read, too, an editor does not offer.
"""

from typing import Any, cast

from rest_framework import serializers

from contract.rest.serializers import Flag, OneOf, StrictSerializer, Texts, Whole, Wholes
from documents.format.kinds import API_VERSION, Kind
from documents.format.reading import NAME_MAX, SHAPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def schema() -> Schema:
    """Of an object, or a list of them."""
    return {
        "$schema": DIALECT,
        "title": f"Configuration of DRS Orchestration, {API_VERSION}",
        "oneOf": [{"$ref": "#/$defs/object"}, {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/object"}}],
        "$defs": {
            "object": {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in Kind]},
            **{kind: _object(kind) for kind in Kind},
        },
    }


def _object(kind: Kind) -> Schema:
    name = {"type": "string", "minLength": 1, "maxLength": NAME_MAX}
    return _closed(
        {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": str(kind)},
            "metadata": _closed({"name": name}, ["name"]),
            "spec": _of_fields(SHAPES[kind]()),
        },
        ["kind", "metadata", "spec"],
    )


def _closed(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _of_fields(shape: StrictSerializer) -> Schema:
    fields = shape.fields
    return _closed(
        {name: _field(each) for name, each in fields.items()}, [name for name, each in fields.items() if each.required]
    )


def _field(field: Any) -> Schema:
    found = _plain(field)
    if field.allow_null:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def _plain(field: Any) -> Schema:
    """What a field takes. What its service asks for besides, such as a region that exists, no schema says."""
    if isinstance(field, serializers.ListSerializer):
        return {"type": "array", "items": _of_fields(cast("StrictSerializer", field.child))}
    if isinstance(field, StrictSerializer):
        return _of_fields(field)
    if isinstance(field, OneOf):
        return {"enum": list(field.choices)}
    if isinstance(field, Flag):
        return {"type": "boolean"}
    if isinstance(field, Whole):
        least, most = field.min_value, field.max_value
        return {"type": "integer"} | {k: v for k, v in (("minimum", least), ("maximum", most)) if v is not None}
    if isinstance(field, Texts | Wholes):
        return {"type": "array", "items": _plain(field.child)}
    described: Schema = getattr(field, "_spectacular_annotation", {}).get("field", {})  # what drf-spectacular is told
    return {"type": "string", **described}
