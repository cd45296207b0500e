"""The objects of a configuration document: their kinds, and the one form in which two of them are compared.

A spec in full names every field of its kind, whether somebody wrote it or not; in short it leaves out what is a
field's default. What a document leaves out is that default, so both say the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from contract.names import name_key
from plans.fields import PLAN, WAVE, Fields

API_VERSION = "drsorch/v1"

Spec = dict[str, Any]
Key = tuple["Kind", str]  # a kind, and the form of a name in which it is unique


class Kind(StrEnum):
    """In the order in which they need one another."""

    ACCOUNT = "Account"
    GROUP = "ProtectionGroup"
    PLAN = "RecoveryPlan"
    SUBSCRIPTION = "Subscription"


@dataclass(frozen=True)
class Item:
    """One object, its spec in full. `place` says where in a document it stands."""

    kind: Kind
    name: str
    spec: Spec
    place: str = ""

    @property
    def key(self) -> Key:
        return self.kind, name_key(self.name)


def of_fields(fields: Fields, but: str) -> dict[str, Any]:
    """The default of each field, by its name in the API."""
    return {each.name: each.default for each in fields if each.name != but}


OF_WAVE: Spec = {
    **of_fields(WAVE, "waveName"),
    "optionalServerIds": [],
    "dependsOnWaves": [],
}
DEFAULTS: Mapping[Kind, Spec] = {
    Kind.ACCOUNT: {"externalId": "", "enabled": True},
    Kind.GROUP: {"description": "", "labels": {}, "accountId": "", "follow": False, "match": None},
    Kind.PLAN: {**of_fields(PLAN, "planName"), "labels": {}},
    Kind.SUBSCRIPTION: {"plan": None, "enabled": True},
}


def in_short(item: Item) -> dict[str, Any]:
    """As a document has it, without defaults."""
    spec = _without(item.spec, DEFAULTS[item.kind])
    if spec.get("follow"):
        del spec["sourceServerIds"]  # its match says which
    if item.kind is Kind.PLAN:
        spec["waves"] = [_without(wave, OF_WAVE) for wave in spec["waves"]]
    return {"apiVersion": API_VERSION, "kind": str(item.kind), "metadata": {"name": item.name}, "spec": spec}


def _without(spec: Spec, defaults: Spec) -> Spec:
    return {name: value for name, value in spec.items() if name not in defaults or value != defaults[name]}


def called(kind: Kind) -> str:
    """A kind in a sentence."""
    match kind:
        case Kind.ACCOUNT:
            return "account"
        case Kind.GROUP:
            return "protection group"
        case Kind.PLAN:
            return "recovery plan"
        case Kind.SUBSCRIPTION:
            return "subscription"
        case _:
            assert_never(kind)
