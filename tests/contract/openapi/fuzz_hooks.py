"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): its check that valid requests are accepted, with our codes; real ids.

The document says which requests are well formed. Some are refused all the same, because the contract wants 400 or 412
for what depends on other rows, on AWS or on the state of a run. schemathesis's own check knows only statuses; this one
knows the code and the fields, so that a refusal for any reason that the baseline does not explain is still found.

No generator invents the ids of servers, groups and plans that exist. Most well-formed requests get such ids here
(FUZZ_WORLD has them), so that they are carried out and later requests find what they made.
"""

import json
import os
import re
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

BASELINE = Path(__file__).parent / "fuzz_baseline.toml"
INDEX = re.compile(r"\[\d+\]")
NUL = ("Null characters are not allowed.", "A string without null characters and lone surrogates is expected.")


def explained() -> dict[str, list[str]]:
    """The operations in which each refusal of the baseline may occur."""
    lines: list[dict[str, Any]] = tomllib.loads(BASELINE.read_text())["refusal"]
    return {each["what"]: each["operations"] for each in lines}


EXPLAINED = explained()


def refusals(body: dict[str, Any]) -> list[str]:
    """What a refusal is about: its code; of a VALIDATION_ERROR each field that is wrong, or that it holds NUL."""
    if body["error"] != "VALIDATION_ERROR":
        return [body["error"]]
    fields: dict[str, list[str]] = body["details"].get("fields", {})
    return [
        "VALIDATION_ERROR NUL" if set(texts) <= set(NUL) else f"VALIDATION_ERROR {INDEX.sub('[]', path)}"
        for path, texts in fields.items()
        if path  # without one it is said that there are more faults than are listed
    ] or [body["error"]]


def is_explained(what: str, operation: str) -> bool:
    return not {operation, "*"}.isdisjoint(EXPLAINED.get(what, ()))


@schemathesis.check
def valid_requests_are_accepted(ctx: Any, response: Any, case: Any) -> bool | None:
    """As positive_data_acceptance, and it skips what the baseline explains."""
    try:
        return bool(positive_data_acceptance(ctx, response, case))
    except RejectedPositiveData as failure:
        label = case.operation.label
        unexplained = [each for each in refusals(response.json()) if not is_explained(each, label)]
        if unexplained:
            raise AssertionError(f"{label} refuses a valid request: {', '.join(unexplained)}") from failure
        return True


WORLD: dict[str, Any] = json.loads(os.environ["FUZZ_WORLD"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Fills in what exists, in three of four well-formed requests and in all examples and scenarios."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    dice = zlib.crc32(json.dumps(case.body, sort_keys=True).encode())  # not random: a run can be repeated
    fill = FILLED.get(case.operation.label)
    if fill and (fill is _document or case.meta.phase.name in ("examples", "stateful") or dice % 4):
        case.body = fill(case.body, dice // 4)


def _group(body: dict[str, Any], dice: int) -> dict[str, Any]:
    free: list[str] = WORLD["free"]
    return body | {"region": "us-east-1", "sourceServerIds": [free[dice % len(free)]]}


def _changed_group(body: dict[str, Any], dice: int) -> dict[str, Any]:
    filled = _group(body, dice)
    return {name: filled[name] for name in body if name not in ("region", "version")}


def _plan(body: dict[str, Any], dice: int) -> dict[str, Any]:
    if not body.get("waves"):
        return body
    known: list[str] = WORLD["servers"]
    waves = [
        {name: wave[name] for name in ("waveName", "waveDescription", "onFailure") if name in wave}
        | {"protectionGroupIds": [WORLD["group"]], "serverIds": [known[(dice + at) % len(known)]]}
        for at, wave in enumerate(body["waves"])
    ]
    return {name: value for name, value in body.items() if name != "version"} | {"waves": waves}


def _document(body: dict[str, Any], dice: int) -> dict[str, Any]:
    """Always: of what is inside a spec the document says little, for it is one field of any kind."""
    if isinstance(body.get("document"), str):
        return body
    spec = _group({}, dice)
    return body | {"document": {"kind": "ProtectionGroup", "metadata": {"name": f"Fuzzed {dice % 9}"}, "spec": spec}}


def _start(body: dict[str, Any], dice: int) -> dict[str, Any]:
    return body | {"planId": WORLD["plans"][dice % len(WORLD["plans"])]}


def _start_this(body: dict[str, Any], dice: int) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "planId"}


FILLED: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "POST /protection-groups": _group,
    "PUT /protection-groups/{group_id}": _changed_group,
    "POST /recovery-plans": _plan,
    "PUT /recovery-plans/{plan_id}": _plan,
    "POST /configuration/diff": _document,
    "POST /configuration/apply": _document,
    "POST /executions": _start,
    "POST /recovery-plans/{plan_id}/execute": _start_this,
}
