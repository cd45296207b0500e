"""Decides by IAM policies as AWS documents it: one action on one resource at a time, under what the request tells.

A call names several resources (RunInstances: instance, volume, subnet, …); AWS decides for each on its own and does the
call when all are allowed. What a request does not tell is absent, and stays so: conditions treat it as IAM does.
Whatever is not known here raises, so that no test passes because something was skipped.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TypeAlias

Value: TypeAlias = str | list[str]
Conditions: TypeAlias = Mapping[str, Mapping[str, Value]]
Statement: TypeAlias = Mapping[str, Value | Conditions]
Context: TypeAlias = Mapping[str, Value]  # a list where the key has several values, as aws:CalledVia

ARN_PARTS = 6  # arn, partition, service, region, account, resource


class Decision(StrEnum):
    ALLOWED = "allowed"
    DENIED = "explicitDeny"
    NOT_ALLOWED = "implicitDeny"


@dataclass(frozen=True)
class Request:
    """One action on one resource. Keys of the context are found whatever their case, as IAM does."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)

    def told(self, key: str) -> Value | None:
        return next((value for name, value in self.context.items() if name.lower() == key.lower()), None)


def decide(statements: Iterable[Statement], request: Request) -> Decision:
    """One that denies wins; else one that allows; else nothing is allowed."""
    effects = {str(each["Effect"]) for each in statements if applies(each, request)}
    if "Deny" in effects:
        return Decision.DENIED
    return Decision.ALLOWED if "Allow" in effects else Decision.NOT_ALLOWED


def applies(statement: Statement, request: Request) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    if unknown:
        raise NotImplementedError(f"elements {sorted(unknown)}")
    action, resource = request.action.lower(), request.resource
    return (
        named(statement, "Action", lambda pattern: is_like(pattern.lower(), action))
        and named(statement, "Resource", lambda pattern: is_arn_like(filled_in(pattern, request), resource))
        and all(
            holds(operator, key, as_list(wanted), request)
            for operator, keys in as_conditions(statement.get("Condition", {})).items()
            for key, wanted in keys.items()
        )
    )


def named(statement: Statement, element: str, matches: Callable[[str], bool]) -> bool:
    """Whether an element, or its Not… form, is about the request."""
    found = any(matches(each) for each in as_list(statement.get(element, [])))
    if f"Not{element}" in statement:
        return not any(matches(each) for each in as_list(statement[f"Not{element}"]))
    return found


def holds(operator: str, key: str, wanted: list[str], request: Request) -> bool:
    """Whether one condition of a statement holds: any of the wanted values suffices, or none for a negated operator."""
    quantifier, _, plain = operator.rpartition(":")
    told = request.told(key)
    if plain == "Null":
        return any((told is None) == (each.lower() == "true") for each in wanted)
    plain, if_exists = plain.removesuffix("IfExists"), plain.endswith("IfExists")
    matches, negated = comparison(plain)
    if told is None:
        return if_exists or quantifier == "ForAllValues" or (negated and not quantifier)
    values = as_list(told)
    if quantifier == "" and len(values) != 1:
        raise ValueError(f"{operator} on {key}, which has several values: AWS wants ForAnyValue or ForAllValues")
    patterns = [filled_in(each, request) for each in wanted]
    agree = [any(matches(pattern, value) for pattern in patterns) != negated for value in values]
    return any(agree) if quantifier == "ForAnyValue" else all(agree)


def comparison(operator: str) -> tuple[Callable[[str, str], bool], bool]:
    """How an operator compares a pattern with a value, and whether it wants them to differ."""
    positive = operator.replace("Not", "", 1) if operator.startswith(("StringNot", "ArnNot")) else operator
    known: dict[str, Callable[[str, str], bool]] = {
        "StringEquals": lambda pattern, value: pattern == value,
        "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
        "StringLike": is_like,
        "Bool": lambda pattern, value: pattern.lower() == value.lower(),
        "ArnEquals": is_arn_like,  # the two are the same, says AWS
        "ArnLike": is_arn_like,
    }
    if positive not in known:
        raise NotImplementedError(f"operator {operator}")
    return known[positive], positive != operator


def is_like(pattern: str, value: str) -> bool:
    """`*` is any run of characters, `?` any one."""
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.compile("".join(parts), re.DOTALL)


def is_arn_like(pattern: str, value: str) -> bool:
    """Each of the six parts on its own, or `*` for everything."""
    if pattern == "*":
        return True
    patterns, values = pattern.split(":", ARN_PARTS - 1), value.split(":", ARN_PARTS - 1)
    return len(patterns) == len(values) == ARN_PARTS and all(map(is_like, patterns, values))


def filled_in(pattern: str, request: Request) -> str:
    """The pattern with its `${variables}`. One that the request does not tell matches nothing."""

    def value(found: re.Match[str]) -> str:
        told = request.told(found[1])
        if isinstance(told, list) or not re.fullmatch(r"[\w:/-]+", found[1]):
            raise NotImplementedError(f"variable {found[0]}")
        return "\0" if told is None else told

    return re.sub(r"\$\{(.+?)\}", value, pattern)


def as_list(value: Value | Conditions) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise NotImplementedError(f"no list of texts: {value!r}")
    return value


def as_conditions(value: Value | Conditions) -> Conditions:
    if not isinstance(value, Mapping):
        raise NotImplementedError(f"no conditions: {value!r}")
    return value
