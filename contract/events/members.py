"""Of what the data of an event is made: a few kinds of members, and what a JSON Schema says of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

Schema = dict[str, Any]


class Kind(Enum):
    """What a member's value is, as a JSON Schema says it."""

    TEXT = {"type": "string"}
    WHOLE = {"type": "integer"}
    TIME = {"type": "integer", "description": "Unix seconds"}
    FLAG = {"type": "boolean"}
    TEXTS = {"type": "array", "items": {"type": "string"}}
    WHOLES = {"type": "array", "items": {"type": "integer"}}
    OBJECT = {"type": "object"}
    OBJECTS = {"type": "array", "items": {"type": "object"}}


@dataclass(frozen=True)
class Member:
    """One member: always there unless `optional`; `nullable` where nothing is known."""

    kind: Kind
    optional: bool = False
    nullable: bool = False

    @property
    def schema(self) -> Schema:
        """As a JSON Schema."""
        return {"anyOf": [self.kind.value, {"type": "null"}]} if self.nullable else dict(self.kind.value)


def maybe(member: Member) -> Member:
    """The same where it may be left out."""
    return replace(member, optional=True)


def known(member: Member) -> Member:
    """The same where it may be null."""
    return replace(member, nullable=True)


TEXT, WHOLE, TIME, FLAG, TEXTS, WHOLES, OBJECT, OBJECTS = (Member(each) for each in Kind)

Data = Mapping[str, Member]


@dataclass(frozen=True)
class EventType:
    """A type of event: what it says, and its data. `version` grows when a member changes its meaning or goes; new
    members do not count."""

    says: str
    data: Data
    version: int = 1


def says(text: str, /, **data: Member) -> EventType:
    """A type in its first version."""
    return EventType(text, data)
