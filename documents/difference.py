"""What applying a document would change, and the digest of exactly that: what was looked at is what is applied."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict

from contract.errors import Invalid
from documents.format.kinds import Item, Key, Kind
from documents.format.reading import Faults, objects_of, written
from documents.format.text import Lines
from documents.format.waves_csv import Table, is_table
from documents.stored import SECRET, Stored, masked, stored
from documents.wanted import Wishes, check_whole, left_over


class Action(StrEnum):
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class FieldChange(TypedDict):
    """A field before and after; null where there is none."""

    before: Any
    after: Any


class ChangeShape(TypedDict):
    """What happens to one object, field by field."""

    kind: str
    name: str
    action: str
    fields: dict[str, FieldChange]


class DifferenceShape(TypedDict):
    """The changes in the order in which they stand in an export, and their digest."""

    digest: str
    changes: list[ChangeShape]


@dataclass(frozen=True)
class Change:
    """One object as it is, if it is, and as it shall be, unless it goes."""

    action: Action
    before: Stored | None
    after: Item | None

    @property
    def item(self) -> Item:
        found = self.after or (self.before.item if self.before else None)
        assert found is not None  # noqa: S101  (one of the two is there)
        return found

    @property
    def fields(self) -> dict[str, FieldChange]:
        """Only those that differ. A name that is written in another way is the field `name`."""
        old = {"name": self.before.item.name, **self.before.item.spec} if self.before else {}
        new = {"name": self.after.name, **self.after.spec} if self.after else {}
        names = [name for name in {**old, **new} if name != "name" or (old and new)]
        changed = [name for name in names if old.get(name) != new.get(name)]
        return {name: FieldChange(before=old.get(name), after=new.get(name)) for name in changed}


@dataclass(frozen=True)
class Difference:
    """All changes of a document."""

    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over every change and the version of everything that it changes."""
        said = [
            [str(each.action), each.item.kind, each.item.name, each.before and each.before.version, each.fields]
            for each in self.changes
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def shown(self, *, whole: bool) -> DifferenceShape:
        """As the API answers it. `whole` is for those who may change subscriptions: others see no secrets."""
        changes = [
            ChangeShape(
                kind=each.item.kind,
                name=each.item.name,
                action=each.action,
                fields=each.fields if whole else _masked(each),
            )
            for each in self.changes
        ]
        return DifferenceShape(digest=self.digest, changes=changes)


def _masked(change: Change) -> dict[str, FieldChange]:
    fields = change.fields
    old, new = change.before and masked(change.before.item), change.after and masked(change.after)
    for name in fields.keys() & SECRET[change.item.kind]:
        fields[name] = FieldChange(before=old and old.spec[name], after=new and new.spec[name])
    return fields


def difference(document: object, *, prune: bool) -> Difference:
    """What a document would change here and now. With `prune`, what it does not name of the kinds that it has goes; of
    a table of waves, plans.

    Raises Invalid with the document's number, name, line and path of everything that is wrong with it.
    """
    here = stored()
    current = {key: each.item for key, each in here.items()}
    listed, lines = _objects(document, current)
    faults = Faults(lines)
    read = list(written(listed, faults))
    faults.refuse()
    pruned = frozenset(each.kind for each in read) if prune else frozenset[Kind]()
    if isinstance(document, str) and is_table(document):
        pruned &= {Kind.PLAN}  # it has the groups of its waves, and not those that no wave has
    wanted = Wishes(current, faults, pruned).read(read)
    faults.refuse()
    check_whole(left_over(current, wanted, pruned), faults)
    faults.refuse()
    return Difference(tuple(_changes(here, wanted, pruned)))


def _objects(document: object, current: Mapping[Key, Item]) -> tuple[list[object], Lines]:
    if isinstance(document, str) and is_table(document):
        table = Table(current)
        return table.read(document), table.lines
    return objects_of(document)


def _changes(here: Mapping[Key, Stored], wanted: Mapping[Key, Item], pruned: frozenset[Kind]) -> list[Change]:
    found = []
    for key in sorted({*here, *wanted}, key=lambda each: (list(Kind).index(each[0]), each[1])):
        old, new = here.get(key), wanted.get(key)
        if new is not None and old is None:
            found.append(Change(Action.CREATE, None, new))
        elif new is not None and old is not None and (old.item.name, old.item.spec) != (new.name, new.spec):
            found.append(Change(Action.UPDATE, old, new))
        elif new is None and key[0] in pruned:
            found.append(Change(Action.DELETE, old, None))
    return found


def refuse_empty(document: object) -> None:
    """Raise Invalid for nothing at all, which with `prune` would look like everything."""
    if document in (None, "", [], {}):
        raise Invalid({"document": ["A document is required: an object, a list of objects, or a text of them."]})
