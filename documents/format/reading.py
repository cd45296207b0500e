"""A document as objects, each with its kind, its name, and a spec that its fields allow.

What is wrong is told by the document's number, the name, the line, and the path of the field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from contract.errors import Invalid
from contract.rest.handlers import flat
from contract.rest.serializers import Flag, Labels, OneOf, StrictSerializer, Text, Texts, Wholes
from documents.format.kinds import API_VERSION, Kind, called
from documents.format.text import Lines, read
from notify.states import Channel
from plans.fields import PLAN, WAVE
from plans.wave_formats import input_of

OBJECTS_MAX = 20_000
NAME_MAX = 128
_PARTS = ("apiVersion", "kind", "metadata", "spec")


class MatchIn(StrictSerializer):
    tags = Labels(required=False)
    hostname = Text(required=False, allow_blank=False)


class AccountIn(StrictSerializer):
    accountId = Text()
    roleArn = Text()
    externalId = Text(required=False)
    regions = Texts()
    enabled = Flag(required=False)


class GroupIn(StrictSerializer):
    accountId = Text(required=False)
    description = Text(required=False)
    labels = Labels(required=False)
    region = Text(allow_blank=False)
    sourceServerIds = Texts(required=False)
    match = MatchIn(required=False)
    follow = Flag(required=False)


class WaveIn(StrictSerializer):
    aliases: ClassVar[Mapping[str, str]] = {"name": "waveName", "description": "waveDescription"}

    protectionGroups = Texts()
    serverIds = Texts(required=False)
    match = MatchIn(required=False)
    optionalServerIds = Texts(required=False)
    dependsOnWaves = Wholes(required=False)

    def get_fields(self) -> dict[str, Any]:
        return {**{each.name: input_of(each) for each in WAVE}, **super().get_fields()}


class PlanIn(StrictSerializer):
    labels = Labels(required=False)
    waves = WaveIn(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {**{each.name: input_of(each) for each in PLAN if each.name != "planName"}, **super().get_fields()}


class SubscriptionIn(StrictSerializer):
    channel = OneOf(choices=list(Channel.values))
    target = Text()
    plan = Text(required=False, allow_null=True)
    events = Texts()
    enabled = Flag(required=False)


SHAPES: Mapping[Kind, type[StrictSerializer]] = {
    Kind.ACCOUNT: AccountIn,
    Kind.GROUP: GroupIn,
    Kind.PLAN: PlanIn,
    Kind.SUBSCRIPTION: SubscriptionIn,
}


@dataclass(frozen=True)
class Written:
    """An object as somebody wrote it: its spec has what was written and nothing else."""

    kind: Kind
    name: str
    spec: Mapping[str, Any]
    number: int


class Faults:
    """What is wrong with a document, each at its place."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.found: dict[str, list[str]] = {}

    def add(self, number: int, path: str, text: str, about: str = "") -> None:
        """`path` is below the document's number, such as `spec.region`."""
        where = f"[{number}].{path}" if path else f"[{number}]"
        line = self.lines.at(where)
        at = ", ".join(filter(None, (about, f"line {line}" if line else "")))
        self.found.setdefault(f"document{where}", []).append(f"{at[:1].upper()}{at[1:]}: {text}" if at else text)

    def of(self, written: Written, path: str, text: str) -> None:
        """Of an object whose kind and name are known."""
        self.add(written.number, path, text, f"{called(written.kind)} “{written.name}”")

    def refuse(self) -> None:
        """Raise Invalid if anything is wrong."""
        if self.found:
            raise Invalid(self.found)


def objects_of(document: object) -> tuple[list[object], Lines]:
    """The objects of a document: an object, a list of them, or a text of either."""
    found, lines = read(document) if isinstance(document, str) else (document, Lines())
    listed = found if isinstance(found, list) else [found]
    if len(listed) > OBJECTS_MAX:
        raise Invalid({"document": [f"At most {OBJECTS_MAX:,} objects are possible; this has {len(listed):,}."]})
    return listed, lines


def written(listed: list[object], faults: Faults) -> Iterator[Written]:
    """Those objects that can be read; faults get what is wrong with the others."""
    for number, each in enumerate(listed):
        if (found := _written(number, each, faults)) is not None:
            yield found


def _written(number: int, given: object, faults: Faults) -> Written | None:
    if not isinstance(given, dict):
        faults.add(number, "", "An object with kind, metadata and spec is expected.")
        return None
    for name in given:
        if name not in _PARTS:
            faults.add(number, str(name)[:64], f"There is no such field. Use {', '.join(_PARTS)}.")
            return None
    if given.get("apiVersion", API_VERSION) != API_VERSION:
        faults.add(number, "apiVersion", f"Use {API_VERSION}.")
        return None
    if given.get("kind") not in list(Kind):
        faults.add(number, "kind", f"Use {', '.join(Kind)}.")
        return None
    name = _name(number, given.get("metadata"), faults)
    if name is None:
        return None
    kind, spec = Kind(given["kind"]), given.get("spec")
    shape = SHAPES[kind](data=spec if isinstance(spec, dict) else {})
    if shape.is_valid():
        return Written(kind, name, dict(shape.validated_data), number)
    for path, texts in flat(shape.errors).items():
        for text in texts:
            faults.of(Written(kind, name, {}, number), f"spec.{path}" if path else "spec", text)
    return None


def _name(number: int, metadata: object, faults: Faults) -> str | None:
    """metadata.name, which is the whole of an object's identity."""
    if not isinstance(metadata, dict) or set(metadata) != {"name"} or not isinstance(metadata["name"], str):
        faults.add(number, "metadata", "A name is expected, and nothing else: {name: …}.")
        return None
    return str(metadata["name"]).strip()
