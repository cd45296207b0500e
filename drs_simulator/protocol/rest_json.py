"""DRS's rest-json protocol: which operation a request is, whose it is, and what in it breaks botocore's own model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import cast
from urllib.parse import parse_qs

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

from drs_simulator.protocol import sts, surroundings
from drs_simulator.world.errors import ApiError, invalid

QUERIES = {**sts.QUERIES, "DescribeInstances": "ec2", "DescribeInstanceStatus": "ec2", **surroundings.QUERIES}

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, *"
    r"SignedHeaders=[^,\s]+, *Signature=[0-9a-f]{64}"
)
# Python names for the model's types; bool is refused where a number is asked, although it is an int.
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "float": (int, float),
    "double": (int, float),
}


@dataclass(frozen=True)
class Request:
    """One HTTP request as it came over the wire; header names are in lower case, `path` is percent-decoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    remote: str
    query: str = ""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Identity:
    """What the credential scope of a signature says."""

    access_key: str
    region: str
    service: str


@cache
def service_model() -> ServiceModel:
    """botocore's description of DRS."""
    return ServiceModel(Loader().load_service_model("drs", "service-2"))


SIMULATED = (
    "DescribeSourceServers",
    "StartRecovery",
    "DescribeJobs",
    "DescribeJobLogItems",
    "DescribeRecoveryInstances",
    "TerminateRecoveryInstances",
    "DescribeRecoverySnapshots",
    "GetLaunchConfiguration",
    "ListTagsForResource",
    "TagResource",
    "DisconnectSourceServer",
    "DeleteSourceServer",
    *(name for name in service_model().operation_names if "RecoveryPlan" in name),
)


@cache
def operation_model(name: str) -> OperationModel:
    return service_model().operation_model(name)


def route(request: Request) -> str:
    """The name of the operation asked for. Raises ValidationException (unknownOperation)."""
    if request.path == "/" and (asked := query_action(request)) in QUERIES:
        return asked
    if target := surroundings.TARGETS.get(request.headers.get("x-amz-target", "")):
        return target
    if request.path.startswith("/tags/"):
        name = {"GET": "ListTagsForResource", "POST": "TagResource"}.get(request.method, "")
    else:
        name = request.path[1:] if request.method == "POST" else ""
    if name in SIMULATED:
        return name
    raise invalid([("operation", f"{request.method} {request.path} is not simulated")], "unknownOperation")


def query_action(request: Request) -> str:
    """What a request in the query protocol of STS and EC2 asks for; empty for any other."""
    found = re.search(rb"(?:^|&)Action=([A-Za-z]+)", request.body)
    return found.group(1).decode() if found else ""


def parameters(request: Request, operation: str) -> dict[str, object]:
    """The checked parameters of a call. Raises ValidationException with a fieldList."""
    if operation in QUERIES:
        return {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
    given = _json_object(request.body)
    if operation in surroundings.TARGETS.values():
        return given
    if request.path.startswith("/tags/"):
        given["resourceArn"] = request.path.removeprefix("/tags/")
    shape = operation_model(operation).input_shape
    problems = list(violations(shape, given)) if shape else []
    if problems:
        raise invalid(problems)
    return given


def _json_object(body: bytes) -> dict[str, object]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise invalid([("body", "not JSON")], "cannotParse") from error
    if not isinstance(given, dict):
        raise invalid([("body", "not a JSON object")], "cannotParse")
    return cast("dict[str, object]", given)


def violations(
    shape: Shape, value: object, path: str = "", *, refuse_unknown: bool = False
) -> Iterator[tuple[str, str]]:
    """Everything in a raw JSON value that botocore's shape forbids, as (path, message)."""
    wanted = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        yield path, f"must be a {shape.type_name}"
        return
    yield from _limit_violations(shape, value, path)
    if isinstance(shape, StructureShape):
        yield from _member_violations(shape, cast("dict[str, object]", value), path, refuse_unknown)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(cast("list[object]", value)):
            yield from violations(shape.member, item, f"{path}[{index}]", refuse_unknown=refuse_unknown)
    elif isinstance(shape, MapShape):
        for key, item in cast("dict[str, object]", value).items():
            yield from violations(shape.key, key, f"{path}.{key}", refuse_unknown=refuse_unknown)
            yield from violations(shape.value, item, f"{path}.{key}", refuse_unknown=refuse_unknown)


def _member_violations(
    shape: StructureShape, value: dict[str, object], path: str, refuse_unknown: bool
) -> Iterator[tuple[str, str]]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield prefix + name, "is required"
    for name, item in value.items():
        if name in shape.members:
            # botocore leaves absent members out; an explicit null means absent in rest-json.
            if item is not None or refuse_unknown:
                yield from violations(shape.members[name], item, prefix + name, refuse_unknown=refuse_unknown)
        elif refuse_unknown:
            yield prefix + name, "is not in the model"


def _limit_violations(shape: Shape, value: object, path: str) -> Iterator[tuple[str, str]]:
    limits = cast("Mapping[str, int]", shape.metadata)
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if isinstance(size, (int, float)) and not isinstance(value, bool):
        if size < limits.get("min", size):
            yield path, f"is below the minimum {limits['min']}"
        if size > limits.get("max", size):
            yield path, f"is above the maximum {limits['max']}"
    if isinstance(shape, StringShape) and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield path, f"must be one of {', '.join(shape.enum)}"
        pattern = cast("Mapping[str, str]", shape.metadata).get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield path, f"must match {pattern}"


def identify(request: Request) -> Identity:
    """Who signed, for which region and service. The signature itself is not verified.

    Raises MissingAuthenticationTokenException when there is no SigV4 header.
    """
    match = _CREDENTIAL.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    return Identity(*match.groups())


def check_signature_age(request: Request, service: str, now: float, max_age: float) -> None:
    """Refuse a request signed more than `max_age` seconds from `now` (epoch seconds), as AWS does."""
    code = "InvalidSignatureException" if service == "drs" else "SignatureDoesNotMatch"
    signed = request.headers.get("x-amz-date", "")
    try:
        moment = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise ApiError(code, "Date must be in ISO-8601 'basic format'") from error
    here = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    if moment < now - max_age:
        raise ApiError(code, f"Signature expired: {signed} is now earlier than {here} - {max_age / 60:g} min.")
    if moment > now + max_age:
        raise ApiError(code, f"Signature not yet current: {signed} is still later than {here}")
