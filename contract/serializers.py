"""Tolerant in how a field is spelled, strict in everything else: types, unknown names, contradictions."""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from contract.errors import Invalid
from contract.handlers import flat

_ID = re.compile(r"ID(s?)(?=[A-Z]|$)")


class Text(serializers.CharField):
    """A string and nothing that could be taken for one; trimmed. Empty is for the service to judge.

    `described` is what the OpenAPI document says of it, where a service or a view is the judge.
    """

    def __init__(self, *, described: Mapping[str, object] | None = None, **options: Any) -> None:
        super().__init__(**{"allow_blank": True, **options})
        if described:
            set_override(self, "field", {"type": "string", **described})

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise ValidationError(["A string is expected."])
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON integer, which may be spelled 3.0: not a string, not a fraction, not a boolean."""

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, float) and data.is_integer():
            data = int(data)
        if not isinstance(data, int) or isinstance(data, bool):
            raise ValidationError(["A whole number is expected."])
        return data


class Flag(serializers.BooleanField):
    """true or false."""

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise ValidationError(["true or false is expected."])
        return data


class OneOf(serializers.ChoiceField):
    """One of a few words, in capitals as the contract has them."""

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str) or data not in self.choices:
            raise ValidationError([f"Use {' or '.join(map(str, self.choices))}."])
        return data


class Texts(serializers.ListField):
    """A list of strings; `described` as of Text."""

    def __init__(self, *, described: Mapping[str, object] | None = None, **options: Any) -> None:
        super().__init__(**{"child": Text(), **options})
        if described:
            shape = {"type": "array", "items": {"type": "string", "minLength": 1}, **described}
            set_override(self, "field", shape)


class Wholes(serializers.ListField):
    """A list of integers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"child": Whole(), **options})


# What the document says of fields that several shapes have.
NAME = {"minLength": 1, "maxLength": 128}
DESCRIPTION = {"maxLength": 512}
SERVER_IDS = {"minItems": 1, "uniqueItems": True}
PLAN_ID = {"format": "uuid"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
TOKEN = {"minLength": 1, "description": "The nextToken of the page before."}
UNIX_SECONDS = {"type": "integer", "minimum": 0, "maximum": 99_999_999_999}


def spelling(name: str) -> str:
    """camelCase for PascalCase, and Id for ID: the one name of a field, however it was spelled."""
    camel = name[:1].lower() + name[1:]
    return _ID.sub(r"Id\1", camel) if len(camel) > 2 else camel.lower()


class StrictSerializer(serializers.Serializer[Any]):
    """Input of the API. `aliases` are other names of a field; `answered` what a GET returns and a PUT may repeat."""

    aliases: ClassVar[Mapping[str, str]] = {}
    answered: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: object) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError(["A JSON object is expected."])
        return super().to_internal_value(self._renamed(data))

    def _renamed(self, data: Mapping[str, object]) -> dict[str, object]:
        """The same values under the fields' own names. Raises ValidationError for unknown and contradicting ones."""
        found: dict[str, object] = {}
        problems: dict[str, list[str]] = {}
        for given, value in data.items():
            name = self.aliases.get(spelling(given), spelling(given))
            if name in self.fields:
                if name in found and _json(found[name]) != _json(value):
                    problems[name] = ["Given twice, in two spellings and with different values. Send it once."]
                found[name] = value
            elif name not in self.answered:
                problems[given] = [self._unknown(given)]
        if problems:
            raise ValidationError(problems)
        return found

    def _unknown(self, given: str) -> str:
        names = [*self.fields, *self.aliases]
        close = difflib.get_close_matches(spelling(given)[:64], names, n=1)
        return f"There is no such field.{f' Did you mean {close[0]}?' if close else ''}"


def _json(value: object) -> str:
    """Comparable without Python's True == 1."""
    return json.dumps(value, sort_keys=True)


S = TypeVar("S", bound=StrictSerializer)


def read_body(request: Request, shape: type[S]) -> dict[str, Any]:
    """The validated body. Raises Invalid with the path of every field that is wrong."""
    return _validated(shape(data=request.data))


def read_query(request: Request, shape: type[S]) -> dict[str, Any]:
    """The validated query parameters; a parameter given twice is refused."""
    twice = [name for name, values in request.query_params.lists() if len(values) > 1]
    if twice:
        raise Invalid({name: ["Given more than once. Send it once."] for name in twice})
    return _validated(shape(data=request.query_params.dict()))


def _validated(given: StrictSerializer) -> dict[str, Any]:
    if not given.is_valid():
        raise Invalid(flat(given.errors))
    return dict(given.validated_data)
