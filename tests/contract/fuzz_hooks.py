"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): its check that valid requests are accepted, with our codes.

The document says which requests are well formed. Some are refused all the same, because the contract wants 400 or 412
for what depends on other rows, on AWS or on the state of a run. schemathesis's own check knows only statuses; this one
knows the code and the fields, so that a refusal for any reason that the baseline does not explain is still found.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

BASELINE = Path(__file__).parent / "fuzz_baseline.toml"
INDEX = re.compile(r"\[\d+\]")
NUL = "Null characters are not allowed."


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
        "VALIDATION_ERROR NUL" if texts == [NUL] else f"VALIDATION_ERROR {INDEX.sub('[]', path)}"
        for path, texts in fields.items()
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
