"""Reads the waves of a request in either dialect of the API, or both mixed, into one form."""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from contract.errors import Invalid
from contract.rest.serializers import Flag, OneOf, StrictSerializer, Text, Texts, Whole, Wholes, spelling
from plans import gates
from plans.fields import WAVE, Field, Kind, WaveShape, WaveSpec

Given = Mapping[str, Any]
Fields = dict[str, list[str]]

_WAVE_ID = re.compile(r"wave-(\d{1,4})")
_PLACE = re.compile(r"^waves\[(\d+)\](?:\.(\w+))?")

# Two fields that say the same. Where both stand as they were answered, the second counts: wave ids follow their wave.
_TWINS = (
    ("executionOrder", "waveNumber"),
    ("protectionGroupId", "protectionGroupIds"),
    ("dependsOnWaves", "dependencies"),
)
_OTHER = {one: other for pair in _TWINS for one, other in (pair, pair[::-1])}


class Checklist(Texts):
    """The items of a gate, each judged at its own place."""

    @staticmethod
    def read(item: object) -> str:
        text = Texts.read(item)
        if fault := gates.item_fault(text):
            raise ValidationError([fault])
        return text

    def run_child_validation(self, data: Iterable[object]) -> list[Any]:
        items = list(data)
        if fault := gates.many_fault(len(items)):
            raise ValidationError([fault])
        return super().run_child_validation(items)


class GateIn(StrictSerializer):
    """What a gate asks for; without `checklist` nothing to tick, without `expiresMinutes` it waits for a year."""

    approvals = Whole(min_value=0, max_value=gates.MOST_APPROVALS)
    checklist = Checklist(
        required=False,
        described={
            "items": {"type": "string", "minLength": 1, "maxLength": gates.ITEM_MAX},
            "maxItems": gates.MOST_ITEMS,
        },
    )
    expiresMinutes = Whole(required=False, min_value=gates.LEAST_MINUTES, max_value=gates.MOST_MINUTES)


def input_of(field: Field, **options: Any) -> serializers.Field[Any, Any, Any, Any]:
    """How a field is read; `options` of Text, for the others can all be left out."""
    match field.kind:
        case Kind.TEXT:
            return Text(**{"required": False, **options})
        case Kind.FLAG:
            return Flag(required=False)
        case Kind.CHOICE:
            return OneOf(choices=list(dict(field.stored.choices)), required=False)
        case Kind.MINUTES:
            return Whole(required=False, allow_null=field.stored.null, min_value=field.least, max_value=field.most)
        case Kind.GATE:
            return GateIn(required=False, allow_null=True)
        case other:
            assert_never(other)


class DependencyIn(StrictSerializer):
    dependsOnWaveId = Text()

    def run_validation(self, data: Any = empty) -> Any:
        """As the framework would, and at once where nothing can be wrong: a plan may have very many of these."""
        if isinstance(data, dict) and len(data) == 1:
            ((name, value),) = data.items()
            if isinstance(value, str) and value.isprintable() and spelling(name) == "dependsOnWaveId":
                return {"dependsOnWaveId": value.strip()}
        return super().run_validation(data)


class WaveIn(StrictSerializer):
    """A wave: `name` and `description` are the short dialect's words for waveName and waveDescription."""

    aliases = {"name": "waveName", "description": "waveDescription"}

    waveId = Text(required=False)
    waveNumber = Whole(required=False)
    executionOrder = Whole(required=False)
    protectionGroupIds = Texts(required=False)
    protectionGroupId = Text(required=False)
    serverIds = Texts(required=False)
    optionalServerIds = Texts(required=False)
    dependsOnWaves = Wholes(required=False)
    dependencies = DependencyIn(many=True, required=False)

    def get_fields(self) -> dict[str, Any]:
        """In the order of the answer, for the document."""
        found = {**super().get_fields(), **{each.name: input_of(each) for each in WAVE}}
        return {name: found[name] for name in WaveShape.__annotations__}


def edited(given: Sequence[Given], stored: Sequence[Given]) -> list[Given]:
    """The waves of a PUT without those twins that stand as a GET answered them, so that editing the other is enough."""
    known = {wave["waveId"]: wave for wave in stored}
    return [_edited(wave, known.get(wave.get("waveId") or f"wave-{wave.get('waveNumber')}")) for wave in given]


def _edited(wave: Given, old: Given | None) -> Given:
    if old is None:
        return wave
    untouched = {name for name in _OTHER if name in wave and wave[name] == old[name]}
    left_out = set()
    for first, second in _TWINS:
        if first in wave and second in wave and {first, second} & untouched:
            left_out.add(first if first in untouched else second)
    return {name: value for name, value in wave.items() if name not in left_out}


class Waves:
    """The waves of one request. Problems are told at the place where a wave stands in the request."""

    def __init__(self, given: Sequence[Given]) -> None:
        self.given = given
        self.problems: Fields = {}
        self.numbers = [self._number(place, wave) for place, wave in enumerate(given)]
        self._check_numbers()
        self.names = self._names()
        self.nameless = {self.numbers[place] for place, wave in enumerate(given) if not wave.get("waveId")}

    def specs(self) -> list[WaveSpec]:
        """The waves in order of their numbers. Raises Invalid for contradictions."""
        found = {self.numbers[place]: self._spec(place, wave) for place, wave in enumerate(self.given)}
        if self.problems:
            raise Invalid(self.problems)
        return [found[number] for number in sorted(found)]

    def placed(self, error: Invalid) -> Invalid:
        """The same problems where the request has them: at the wave's place, at the field that was sent."""
        places = {number: place for place, number in enumerate(self.numbers)}

        def moved(found: re.Match[str]) -> str:
            place = places[int(found[1])]
            return f"waves[{place}].{self._sent(place, found[2])}" if found[2] else f"waves[{place}]"

        return Invalid({_PLACE.sub(moved, path): texts for path, texts in error.fields.items()}, code=error.code)

    def _sent(self, place: int, field: str) -> str:
        """The field itself, or the one that the request has in its stead."""
        other, wave = _OTHER.get(field, field), self.given[place]
        return other if other in wave and field not in wave else field

    def _problem(self, place: int, field: str, text: str) -> None:
        self.problems.setdefault(f"waves[{place}].{field}", []).append(text)

    def _number(self, place: int, wave: Given) -> int:
        number, order = wave.get("waveNumber"), wave.get("executionOrder")
        if number is not None and order is not None and number != order:
            self._problem(place, "executionOrder", "Differs from waveNumber. Send one of them.")
        chosen = order if number is None else number
        return place if chosen is None else int(chosen)

    def _check_numbers(self) -> None:
        count, seen = len(self.given), set[int]()
        for place, number in enumerate(self.numbers):
            if number in seen or not 0 <= number < count:
                text = (
                    f"Waves are numbered from 0 to {count - 1}, each number once; this one has {number}. Leave"
                    " waveNumber and executionOrder out of all waves to number them as they are listed."
                )
                self._problem(place, self._sent(place, "waveNumber"), text)
            seen.add(number)

    def _names(self) -> dict[str, int]:
        """Which number a WaveId of this request stands for."""
        names: dict[str, int] = {}
        for place, wave in enumerate(self.given):
            name = wave.get("waveId")
            if name in names:
                self._problem(place, "waveId", f"{name} is the id of another wave, too.")
            elif name:
                names[name] = self.numbers[place]
        return names

    def _spec(self, place: int, wave: Given) -> WaveSpec:
        number = self.numbers[place]
        return WaveSpec(
            group_ids=self._groups(place, wave),
            server_ids=wave.get("serverIds", []),
            optional_server_ids=wave.get("optionalServerIds", []),
            depends_on=self._needs(place, wave),
            **WAVE.given({"waveName": f"Wave {number + 1}", **wave}),
        )

    def _groups(self, place: int, wave: Given) -> list[uuid.UUID]:
        several: list[str] = wave.get("protectionGroupIds", [])
        one: str | None = wave.get("protectionGroupId")
        if one is not None and "protectionGroupIds" in wave and one not in several:
            self._problem(place, "protectionGroupId", "Is not among protectionGroupIds. Send one of the two.")
        field = "protectionGroupIds" if "protectionGroupIds" in wave else "protectionGroupId"
        found = []
        for text in several or ([one] if one else []):
            try:
                found.append(uuid.UUID(text))
            except ValueError:
                self._problem(place, field, f"There is no protection group {text[:64]!r}.")
        return found

    def _needs(self, place: int, wave: Given) -> list[int]:
        numbers: list[int] = wave.get("dependsOnWaves", [])
        if "dependencies" not in wave:
            return sorted(set(numbers))
        named = [self._named(place, index, each) for index, each in enumerate(wave["dependencies"])]
        if "dependsOnWaves" in wave and set(named) != set(numbers):
            self._problem(place, "dependencies", "They differ from dependsOnWaves. Send one of the two.")
        return sorted(set(named))

    def _named(self, place: int, index: int, dependency: Given) -> int:
        name = dependency["dependsOnWaveId"]
        if name in self.names:
            return self.names[name]
        plain = _WAVE_ID.fullmatch(name)
        if plain and int(plain[1]) in self.nameless:
            return int(plain[1])
        self._problem(place, f"dependencies[{index}].dependsOnWaveId", f"There is no wave {name[:64]!r}.")
        return -1
