"""Says of each view what the OpenAPI document needs and DRF cannot know: its answers, refusals, headers and examples.

Answers are TypedDicts: the same types that the representations are written in.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from drf_spectacular.plumbing import resolve_type_hint
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.serializers import Serializer

from contract.rest.examples import examples_of
from contract.rest.serializers import StrictSerializer
from contract.rest.views import WITHOUT_PARAMETERS, NothingHere

STATUSES = {
    "VALIDATION_ERROR": 400,
    "MALFORMED_JSON": 400,
    "INVALID_REGION": 400,
    "INVALID_SERVER_IDS": 400,
    "REGION_IMMUTABLE": 400,
    "ACCOUNT_IMMUTABLE": 400,
    "PLAN_HAS_NO_WAVES": 400,
    "EXECUTION_NOT_PAUSED": 400,
    "WAVE_NOT_RETRYABLE": 400,
    "WAVE_NOT_WAITING": 400,
    "SERVER_NOT_EXCLUDABLE": 400,
    "EXECUTION_NOT_CANCELLABLE": 400,
    "EXECUTION_NOT_PAUSABLE": 400,
    "EXECUTION_NOT_ABANDONABLE": 400,
    "EXECUTION_STILL_RUNNING": 400,
    "LEASE_NOT_EXTENDABLE": 400,
    "EXECUTION_NOT_RETRYABLE": 400,
    "REGION_NOT_ENABLED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "APPROVER_IS_STARTER": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "ACCOUNT_EXISTS": 409,
    "ACCOUNT_NAME_EXISTS": 409,
    "ACCOUNT_IN_USE": 409,
    "PG_NAME_EXISTS": 409,
    "SERVER_ASSIGNMENT_CONFLICT": 409,
    "PG_IN_ACTIVE_EXECUTION": 409,
    "SERVER_IN_USE_BY_PLAN": 409,
    "PG_IN_USE": 409,
    "RP_NAME_EXISTS": 409,
    "ROLE_GIVEN": 409,
    "PLAN_HAS_ACTIVE_EXECUTION": 409,
    "PLAN_ALREADY_EXECUTING": 409,
    "SERVER_CONFLICT": 409,
    "WAVE_HAS_BEGUN": 409,
    "GATE_NEEDS_APPROVALS": 409,
    "GATE_CHANGED": 409,
    "PRODUCTION_RUNNING": 409,
    "NATIVE_PLAN_BUSY": 409,
    "NATIVE_PLAN_IS_COPY": 409,
    "VERSION_CONFLICT": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "THROTTLED": 429,
    "INTERNAL_ERROR": 500,
    "DRS_ACCESS_DENIED": 502,
    "DATABASE_UNAVAILABLE": 503,
    "DRS_UNAVAILABLE": 503,
    "DRS_THROTTLED": 503,
    "REPORT_BEING_MADE": 503,
}
# What a GET answers besides what can be changed may stand in a PUT, whatever its value.
PASSED_OVER = {"description": "As returned by GET; accepted and ignored."}
ANY_REQUEST = ("VALIDATION_ERROR", "UNAUTHENTICATED", "THROTTLED", "INTERNAL_ERROR", "DATABASE_UNAVAILABLE")
WITH_BODY = ("MALFORMED_JSON", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
DRS = ("REGION_NOT_ENABLED", "DRS_ACCESS_DENIED", "DRS_UNAVAILABLE", "DRS_THROTTLED")


class Error(TypedDict):
    """Every refusal. `details.fields` holds the sentences to each field that is wrong."""

    error: str
    message: str
    details: dict[str, Any]


IF_MATCH = OpenApiParameter(
    "If-Match", OpenApiTypes.STR, "header", description="The ETag that the change is based on; otherwise 412."
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "header",
    description="1 to 255 characters, kept for 24 hours: the same key and body return the first response again.",
)

_shapes: dict[str, type] = {"Error": Error}

View = Callable[..., Any]


def describes(
    name: str,
    summary: str,
    *,
    answers: Mapping[int, type],
    many: bool = False,
    body: type[Serializer[Any]] | None = None,
    query: type[Serializer[Any]] | None = None,
    headers: Sequence[OpenApiParameter] = (),
    files: Sequence[str] = (),
    refusals: Sequence[str] = (),
) -> Callable[[View], View]:
    """For a method of a view. `name` is the operation's id, `refusals` its own codes beside those of any request,
    `files` the media types of files that it may answer with. `many` stands for a list of its answer's shape."""
    codes = [*ANY_REQUEST, *(WITH_BODY if body else ()), *refusals]
    responses: dict[Any, Any] = {
        status: {"type": "array", "items": _reference(shape)} if many else _reference(shape)
        for status, shape in answers.items()
    }
    responses |= {(200, kind): OpenApiTypes.BINARY for kind in files}
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[STATUSES[code]].append(code)
    for status, those in sorted(by_status.items()):
        responses[status] = OpenApiResponse(_reference(Error), ", ".join(those))
    described = extend_schema(
        operation_id=name,
        summary=summary,
        request=body,
        parameters=[*([query] if query else []), *headers],
        responses=responses,
        examples=list(examples_of(name, body)),
    )

    def on(view: View) -> View:
        if query is None:
            WITHOUT_PARAMETERS.add(view)
        as_described: View = described(view)
        return as_described

    return on


def _reference(shape: type) -> dict[str, str]:
    known = _shapes.setdefault(shape.__name__, shape)
    assert known is shape, f"two shapes are named {shape.__name__}"  # noqa: S101  (at import)
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def one_address_each(endpoints: Sequence[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """drf-spectacular's PREPROCESSING_HOOK: leaves out the tolerated slash and the view of everything else."""
    return [each for each in endpoints if not each[0].endswith("/") and each[3].cls is not NothingHere]


def with_shapes(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOK: adds the shapes that answers refer to, and closes those of requests."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    result |= _not_blank({"paths": result["paths"]})
    answered = {shape.__name__: shape.answered for shape in _below(StrictSerializer)}
    for name, shape in schemas.items():
        schemas[name] = shape = _not_blank(shape)
        if "properties" in shape:
            shape["additionalProperties"] = False  # StrictSerializer names every field that it does not know
            shape["properties"] |= dict.fromkeys(sorted(answered[name]), PASSED_OVER)
    for name, shape in sorted(_shapes.items()):
        schemas[name] = _in_31(_resolved(shape)) | ({"description": shape.__doc__} if shape.__doc__ else {})
    return result


def _below(kind: type[StrictSerializer]) -> Iterator[type[StrictSerializer]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _not_blank(schema: Any) -> Any:
    """drf-spectacular allows "" wherever a serializer does; here services refuse it, and `Text.described` says so."""
    if isinstance(schema, list):
        return [_not_blank(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _not_blank(value) for name, value in schema.items()}
    match found.get("oneOf"):
        case [dict(filled), {"type": "string", "maxLength": 0}]:
            del found["oneOf"]
            return found | filled
    return found


def _resolved(shape: type) -> Any:
    return resolve_type_hint(shape)  # type: ignore[no-untyped-call]


def _in_31(schema: Any) -> Any:
    """`nullable` is OpenAPI 3.0; 3.1 says it with the type."""
    if isinstance(schema, list):
        return [_in_31(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _in_31(value) for name, value in schema.items() if name != "nullable"}
    if not schema.get("nullable"):
        return found
    return found | {"type": [found["type"], "null"]} if "type" in found else {"oneOf": [found, {"type": "null"}]}
