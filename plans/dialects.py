"""Reads the waves of a request in either dialect of the API, or both mixed, into one form."""

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from contract.errors import Invalid
from contract.serializers import Flag, OneOf, StrictSerializer, Text, Texts, Whole, Wholes
from plans.models import OnFailure
from plans.services import WaveSpec

Given = Mapping[str, Any]
Fields = dict[str, list[str]]

_WAVE_ID = re.compile(r"wave-(\d{1,4})")
_PLACE = re.compile(r"^waves\[(\d+)\]")


class DependencyIn(StrictSerializer):
    dependsOnWaveId = Text()


class WaveIn(StrictSerializer):
    """A wave: `name` and `description` are the short dialect's words for waveName and waveDescription."""

    aliases = {"name": "waveName", "description": "waveDescription"}

    waveId = Text(required=False)
    waveNumber = Whole(required=False)
    executionOrder = Whole(required=False)
    waveName = Text(required=False)
    waveDescription = Text(required=False)
    protectionGroupIds = Texts(required=False)
    protectionGroupId = Text(required=False)
    serverIds = Texts(required=False)
    dependsOnWaves = Wholes(required=False)
    dependencies = DependencyIn(many=True, required=False)
    pauseBeforeWave = Flag(required=False)
    onFailure = OneOf(choices=OnFailure.values, required=False)


class Waves:
    """The waves of one request. Problems are told at the place where a wave stands in the request."""

    def __init__(self, given: Sequence[Given]) -> None:
        self.given = given
        self.problems: Fields = {}
        self.numbers = [self._number(place, wave) for place, wave in enumerate(given)]
        self._check_numbers()
        self.names = self._names()

    def specs(self) -> list[WaveSpec]:
        """The waves in order of their numbers. Raises Invalid for contradictions."""
        found = {self.numbers[place]: self._spec(place, wave) for place, wave in enumerate(self.given)}
        if self.problems:
            raise Invalid(self.problems)
        return [found[number] for number in sorted(found)]

    def placed(self, error: Invalid) -> Invalid:
        """The same problems, with the wave's number replaced by its place in the request."""
        places = {number: place for place, number in enumerate(self.numbers)}

        def moved(path: str) -> str:
            return _PLACE.sub(lambda found: f"waves[{places.get(int(found[1]), found[1])}]", path)

        return Invalid({moved(path): texts for path, texts in error.fields.items()}, code=error.code)

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
                text = f"Waves are numbered from 0 to {count - 1}, each number once; this one has {number}."
                self._problem(place, "waveNumber", text)
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
            name=wave.get("waveName", f"Wave {number + 1}"),
            description=wave.get("waveDescription", ""),
            group_ids=self._groups(place, wave),
            server_ids=wave.get("serverIds", []),
            depends_on=self._needs(place, wave),
            pause_before=wave.get("pauseBeforeWave", False),
            on_failure=wave.get("onFailure", OnFailure.STOP),
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
            self._problem(place, "dependencies", "Say something else than dependsOnWaves. Send one of the two.")
        return sorted(set(named))

    def _named(self, place: int, index: int, dependency: Given) -> int:
        name = dependency["dependsOnWaveId"]
        if name in self.names:
            return self.names[name]
        plain = _WAVE_ID.fullmatch(name)
        if plain and not self.names:
            return int(plain[1])
        self._problem(place, f"dependencies[{index}].dependsOnWaveId", f"There is no wave {name[:64]!r}.")
        return -1
