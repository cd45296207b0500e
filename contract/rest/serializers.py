"""Tolerant in how a field is spelled, strict in everything else: types, unknown names, contradictions."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from contract.errors import MOST_FAULTS, PATH_MAX, Invalid
from contract.labels.rules import MOST, VALUE_MAX, Label
from contract.names import ACCOUNT, NO_ACCOUNT
from contract.rest.handlers import flat

_ID = re.compile(r"ID(s?)(?=[A-Z]|$)")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
WHOLE_MAX = 10**15 - 1  # any JSON parser keeps these exactly
OBJECTS_MAX = 1_000  # in a list, such as the waves of a plan


def whole(data: object) -> int:
    """The integer. Raises ValidationError for anything else, and for one that is not the same to every parser."""
    if isinstance(data, float) and data.is_integer():
        data = int(data)
    if not isinstance(data, int) or isinstance(data, bool):
        raise ValidationError(["A whole number is expected."])
    if abs(data) > WHOLE_MAX:
        raise ValidationError([f"A whole number of no more than {len(str(WHOLE_MAX))} digits is expected."])
    return data


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


class AccountId(Text):
    """The twelve digits of an AWS account; empty as if it were not given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "described": {"pattern": f"^{ACCOUNT.pattern}$"}, **options})

    def to_internal_value(self, data: object) -> str:
        account = super().to_internal_value(data)
        if account and not ACCOUNT.fullmatch(account):
            raise ValidationError([NO_ACCOUNT])
        return account


class Labels(serializers.Field[Any, Any, Any, Any]):
    """An object of strings, read as pairs; what they may be is for the service to judge."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        value = {"type": "string", "maxLength": VALUE_MAX}
        set_override(self, "field", {"type": "object", "additionalProperties": value, "maxProperties": MOST})

    def to_internal_value(self, data: object) -> list[Label]:
        if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
            raise ValidationError(['An object of strings is expected, such as {"app": "payments"}.'])
        return list(data.items())


class Whole(serializers.IntegerField):
    """A JSON integer, which may be spelled 3.0: not a string, not a fraction, not a boolean."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        set_override(self, "field", {"type": "integer", "minimum": -WHOLE_MAX, "maximum": WHOLE_MAX})

    def to_internal_value(self, data: object) -> int:
        return whole(data)


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


class _Many(serializers.ListField):
    """A list of any length in linear time: `read` takes each item, and no more faults are looked for than are told."""

    @staticmethod
    def read(item: object) -> Any:
        """The item, or ValidationError."""
        raise NotImplementedError

    def run_child_validation(self, data: Iterable[object]) -> list[Any]:
        found: list[Any] = []
        wrong: dict[Any, Any] = {}
        for index, item in enumerate(data):
            try:
                found.append(self.read(item))
            except ValidationError as error:
                wrong[index] = error.detail
                if len(wrong) > MOST_FAULTS:
                    break
        if wrong:
            raise ValidationError(wrong)
        return found


class Texts(_Many):
    """A list of strings; `described` as of Text."""

    def __init__(self, *, described: Mapping[str, object] | None = None, **options: Any) -> None:
        super().__init__(**{"child": Text(), **options})
        if described:
            shape = {"type": "array", "items": {"type": "string", "minLength": 1}, **described}
            set_override(self, "field", shape)

    @staticmethod
    def read(item: object) -> str:
        if not isinstance(item, str):
            raise ValidationError(["A string is expected."])
        if not item.isprintable() and _UNSTORABLE.search(item):
            raise ValidationError(["A string without null characters and lone surrogates is expected."])
        return item.strip()


class Wholes(_Many):
    """A list of integers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"child": Whole(), **options})

    @staticmethod
    def read(item: object) -> int:
        return whole(item)


class FewObjects(serializers.ListSerializer[Any]):
    """A list of objects, each of which costs: a thousand at most, and no more faults are looked for than are told."""

    def to_internal_value(self, data: object) -> list[Any]:
        if not isinstance(data, list):
            raise ValidationError(["A list of JSON objects is expected."])
        if len(data) > OBJECTS_MAX:
            raise ValidationError([f"At most {OBJECTS_MAX:,} are possible; this has {len(data):,}."])
        found: list[Any] = []
        wrong: list[Any] = []
        faults = 0
        for item in data:
            try:
                found.append(self.run_child_validation(item))
                wrong.append({})
            except ValidationError as error:
                wrong.append(error.detail)
                faults += 1
                if faults > MOST_FAULTS:
                    break
        if faults:
            raise ValidationError(wrong)
        return found


# What the document says of fields that several shapes have.
NAME = {"minLength": 1, "maxLength": 128}
DESCRIPTION = {"maxLength": 512}
SERVER_IDS = {"minItems": 1, "uniqueItems": True}
PLAN_ID = {"format": "uuid"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}
LIMIT_OF_ALL = {"type": "integer", "minimum": 1, "maximum": 100, "description": "Without it all are answered."}
LABEL = {
    "maxItems": MOST,
    "description": "`key=value`, or `key` for any value; given several times, what has all of them.",
}
TOKEN = {"minLength": 1, "description": "The nextToken of the page before."}
UNIX_SECONDS = {"type": "integer", "minimum": 0, "maximum": 99_999_999_999}


def spelling(name: str) -> str:
    """camelCase for PascalCase, and Id for ID: the one name of a field, however it was spelled."""
    camel = name[:1].lower() + name[1:]
    return _ID.sub(r"Id\1", camel) if len(camel) > 2 else camel.lower()


Problems = dict[str, list[str]]


class StrictSerializer(serializers.Serializer[Any]):
    """Input of the API. `aliases` are other names of a field; `answered` what a GET returns and a PUT may repeat."""

    aliases: ClassVar[Mapping[str, str]] = {}
    answered: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        list_serializer_class = FewObjects

    def to_internal_value(self, data: object) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError(["A JSON object is expected."])
        values, problems = self._renamed(data)
        try:
            found = super().to_internal_value(values)
        except ValidationError as error:
            raise ValidationError({**cast("Problems", error.detail), **problems}) from None
        if problems:
            raise ValidationError(problems)
        return found

    def _renamed(self, data: Mapping[str, object]) -> tuple[dict[str, object], Problems]:
        """The same values under the fields' own names, and what is unknown or contradicts itself. Raises
        ValidationError where that is more than anybody reads."""
        found: dict[str, object] = {}
        problems: Problems = {}
        for given, value in data.items():
            name = self.aliases.get(spelling(given), spelling(given))
            if name in self.fields:
                if name in found and _json(found[name]) != _json(value):
                    problems[name] = ["Given twice, in two spellings and with different values. Send it once."]
                found[name] = value
            elif name not in self.answered:
                problems[given[:PATH_MAX]] = [self._unknown(given)]
            if len(problems) > MOST_FAULTS:
                raise ValidationError(problems)
        return found, problems

    def _unknown(self, given: str) -> str:
        names, name = [*self.fields, *self.aliases], spelling(given)[:64]
        close = difflib.get_close_matches(name, names, n=1)
        if not close and len(name) > 2:  # a part of one, as `type` is of executionType
            close = [each for each in names if name.lower() in each.lower()]
        return f"There is no such field.{f' Did you mean {close[0]}?' if close else ''}"


def _json(value: object) -> str:
    """Comparable without Python's True == 1."""
    return json.dumps(value, sort_keys=True)


S = TypeVar("S", bound=StrictSerializer)


class NothingIn(StrictSerializer):
    """A body without fields."""


def read_body(request: Request, shape: type[S]) -> dict[str, Any]:
    """The validated body. Raises Invalid with the path of every field that is wrong."""
    return _validated(shape(data=request.data))


def read_query(request: Request, shape: type[S]) -> dict[str, Any]:
    """The validated query parameters; one given twice is refused, unless it is a list."""
    given = dict(request.query_params.lists())
    several = {name for name, field in shape().fields.items() if isinstance(field, Texts)}
    twice = [name for name, values in given.items() if len(values) > 1 and spelling(name) not in several]
    if twice:
        raise Invalid({name: ["Given more than once. Send it once."] for name in twice})
    return _validated(
        shape(data={name: values if spelling(name) in several else values[-1] for name, values in given.items()})
    )


def _validated(given: StrictSerializer) -> dict[str, Any]:
    if not given.is_valid():
        raise Invalid(flat(given.errors))
    return dict(given.validated_data)
