"""Rights by their names, how far each reaches, and what is told to somebody who lacks one.

A right is held everywhere, or in scopes: for what has a label, or lies wholly in some AWS accounts. `may` is asked in
one place, `Grants.may`; everything else hands it the thing that is meant.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import Any, cast

from django.contrib.auth import get_backends

from contract.errors import Forbidden, NotFound
from contract.labels.rules import Label, written


@dataclass(frozen=True)
class Thing:
    """What a right is asked for: a plan, a run, a group. Its labels, and the accounts of its servers."""

    labels: frozenset[Label] = frozenset()
    accounts: frozenset[str] = frozenset()


ANYTHING = Thing()  # stands for whatever somebody holds a right for: the thing itself is not known yet


@dataclass(frozen=True)
class Reach:
    """How far something goes that a role gives: everywhere, or what has one of these labels or lies wholly in these
    accounts."""

    everywhere: bool = False
    labels: frozenset[Label] = frozenset()
    accounts: frozenset[str] = frozenset()

    def __or__(self, other: "Reach") -> "Reach":
        everywhere = self.everywhere or other.everywhere
        return Reach(everywhere, self.labels | other.labels, self.accounts | other.accounts)

    def covers(self, thing: Thing) -> bool:
        """Whether it goes as far as that."""
        if self.everywhere or thing is ANYTHING:
            return True
        in_accounts = bool(thing.accounts) and thing.accounts <= self.accounts
        return in_accounts or not self.labels.isdisjoint(thing.labels)

    def __str__(self) -> str:
        labels = written(sorted(self.labels))
        accounts = f"account{'s' if len(self.accounts) > 1 else ''} {', '.join(sorted(self.accounts))}"
        return " and ".join([*([labels] if labels else []), *([accounts] if self.accounts else [])])


EVERYWHERE = Reach(everywhere=True)


@dataclass(frozen=True)
class Grants:
    """What somebody may do, by right, and what they may see."""

    rights: Mapping[str, Reach] = field(default_factory=dict)
    sees: Reach = EVERYWHERE

    @classmethod
    def of(cls, roles: Iterable[tuple[Iterable[str], Reach]]) -> "Grants":
        """Of roles, each its rights and how far they reach; whoever has a role sees what it reaches."""
        given, rights = list(roles), dict[str, Reach]()
        for names, reach in given:
            for name in names:
                rights[name] = rights.get(name, Reach()) | reach
        return cls(rights, reduce(Reach.__or__, (reach for _, reach in given), Reach()))

    def may(self, right: str, thing: Thing | None) -> bool:
        """Whether the right is held for that thing; for None, everywhere."""
        reach = self.rights.get(right)
        return reach is not None and (reach.everywhere or (thing is not None and reach.covers(thing)))


def grants_of(principal: object) -> Grants:
    """What a signed-in user may do and see, by the backend that knows; nothing without one."""
    backend = _backend()
    return cast("Grants", backend.grants_of(principal)) if backend else Grants(sees=Reach())


def is_bounded(user: object) -> bool:
    """Whether what somebody may do or see depends on the thing that is meant: then alone it is worth finding."""
    backend = _backend()
    return backend is None or bool(backend.is_bounded(user))


def scope_labels(labels: Iterable[Label]) -> set[Label]:
    """Those of these labels for which roles are given."""
    backend = _backend()
    return set(backend.scope_labels(set(labels))) if backend else set()


def _backend() -> Any:
    """Rooms below the one that knows people ask it through Django, as Django does for its own permissions."""
    return next((each for each in get_backends() if hasattr(each, "grants_of")), None)


# What an address shows, and to whom it is closed


class Shows(Enum):
    """What an address shows that is about no single plan, group, run or server. One without a word shows everything,
    and is closed to whoever sees only a part."""

    EVERYTHING = "everything"
    WHAT_ONE_SEES = "what one sees"
    NOTHING = "nothing of plans, groups, runs and servers"


# By the part of an address that names a thing: finds it for who sees so far, or raises NotFound. Rooms add theirs.
THINGS: dict[str, Callable[[Any, Reach], Thing]] = {}


def enter(user: Any, parts: Mapping[str, Any], shows: Shows) -> None:
    """Let somebody in at an address, or raise NotFound for a thing that they do not see, and Forbidden for what shows
    more than they see. Rights are then asked for the thing that the address names."""
    if any("\0" in part for part in parts.values() if isinstance(part, str)):  # at which PostgreSQL fails
        raise NotFound("Nothing is named so: no id has a null character.")
    if not is_bounded(user):
        return
    grants = grants_of(user)
    for name in THINGS.keys() & parts.keys():
        user.asks_about = THINGS[name](parts[name], grants.sees)
    if not THINGS.keys() & parts.keys() and shows is Shows.EVERYTHING and not grants.sees.everywhere:
        raise Forbidden(
            f"This shows the whole installation, and your role is for {grants.sees}. Ask an administrator.",
            details={"scope": str(grants.sees)},
        )


def asked_about(user: object) -> Thing | None:
    """The thing that the address names at which somebody is; None for none, or where it makes no difference."""
    thing: Thing | None = getattr(user, "asks_about", None)
    return thing


def holds(user: Any) -> Callable[[str], bool]:
    """Whether somebody has a right for what the address names, or for anything where it names nothing."""
    return lambda right: bool(user.has_perm(right, asked_about(user) or ANYTHING))


def not_allowed(right: str, to: str, details: Mapping[str, Any] | None = None, *, only: str = "") -> Forbidden:
    """The refusal for somebody who lacks a right; `to` completes "You may not …", `details` are told beside it. `only`
    is what they have it for."""
    text = f"You may not {to}{f' here, only for {only}' if only else ''}. Ask an administrator for the right."
    return Forbidden(text, details={"right": right, **({"scope": only} if only else {}), **(details or {})})


@dataclass(frozen=True)
class AnyOf:
    """What somebody needs at the least who asks for something: one of these rights. `to` as of `not_allowed`."""

    to: str
    names: tuple[str, ...]

    def require(self, may: Callable[[str], bool]) -> None:
        """Raise Forbidden unless one of them is held."""
        if not any(map(may, self.names)):
            raise not_allowed(self.names[0], self.to)


def as_id(text: object) -> uuid.UUID | None:
    """An id from an address; None for what cannot be any."""
    try:
        return text if isinstance(text, uuid.UUID) else uuid.UUID(str(text))
    except ValueError:
        return None
