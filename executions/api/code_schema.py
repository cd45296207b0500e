"""What the OpenAPI document says of our codes: each with its meaning and what to try."""

from typing import Any

from executions.codes.entry import Where
from executions.codes.explain import EVERY_CODE

_ENDS = ", ".join(each.value for each in EVERY_CODE if Where.RUN in each.entry.where)
_ERROR_CODE = f"Why it ended so: {_ENDS}; of a termination also AWS's own code. The schema Code says what each means."


def with_codes(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK: adds the schema Code, and says of each `errorCode` what stands there."""
    schemas = result["components"]["schemas"]
    _describe(schemas)
    schemas["Code"] = {
        "description": "Codes of runs: how they end, what stands against them, why a command is refused. `details` of"
        " such a refusal has the advice, too. More may come.",
        "oneOf": [
            {"type": "string", "const": each.value, "title": each.meaning, "description": each.advice}
            for each in EVERY_CODE
        ],
    }
    return result


def _describe(schema: object) -> None:
    if isinstance(schema, list):
        for each in schema:
            _describe(each)
    if isinstance(schema, dict):
        code = schema.get("properties", {}).get("errorCode") if isinstance(schema.get("properties"), dict) else None
        if isinstance(code, dict):
            code["description"] = _ERROR_CODE
        for each in schema.values():
            _describe(each)
