"""The errors of the service: code, HTTP status and JSON body exactly as boto3 expects them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

STATUS_OF_CODE = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ExpiredTokenException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 402,
    "SignatureDoesNotMatch": 403,
    "ThrottlingException": 429,
    "UninitializedAccountException": 400,
    "ValidationException": 400,
}

BUSY = "One or more of the Source Servers included in API call are currently being processed by a Job"


@dataclass
class ApiError(Exception):
    """A refusal that the client sees as `code` with `message`; `details` are further members of the body."""

    code: str
    message: str
    details: dict[str, object] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return STATUS_OF_CODE.get(self.code, 400)

    def body(self) -> bytes:
        return json.dumps({"message": self.message, "code": self.code, **self.details}).encode()


class Disconnect(Exception):
    """Close the connection without an answer."""


def access_denied(operation: str, account: str, service: str = "drs") -> ApiError:
    action = f"{service}:{operation}"
    return ApiError(
        "AccessDeniedException",
        f"User: arn:aws:iam::{account}:user/simulator is not authorized to perform: {action} on resource: * "
        f"because no identity-based policy allows the {action} action",
    )


def unnamed(error: ApiError) -> ApiError:
    """The same refusal without a word of whom it is about. Whether the service names the one is not known."""
    known = {"ConflictException": BUSY}
    return ApiError(error.code, known.get(error.code, "One or more of the given resources are not valid"))


def conflict(server_ids: Sequence[str] = ()) -> ApiError:
    details: dict[str, object] = {"resourceType": "SourceServer"}
    return ApiError("ConflictException", BUSY, details | ({"resourceId": server_ids[0]} if server_ids else {}))


def not_found(kind: str, resource_id: str) -> ApiError:
    details: dict[str, object] = {"resourceId": resource_id, "resourceType": kind}
    return ApiError("ResourceNotFoundException", f"{kind} {resource_id} not found", details)


def quota_exceeded(quota_code: str, message: str) -> ApiError:
    details: dict[str, object] = {"serviceCode": "drs", "quotaCode": quota_code}
    return ApiError("ServiceQuotaExceededException", message, details)


def busy_quota() -> ApiError:
    """That a server is in a job already, told as the quota that DRS has for it."""
    return quota_exceeded("L-DD6D028C", "Concurrent jobs per source server: at most 1")


def uninitialized() -> ApiError:
    return ApiError("UninitializedAccountException", "Account not initialized")


def invalid(fields: Sequence[tuple[str, str]], reason: str = "fieldValidationFailed") -> ApiError:
    """A ValidationException naming every offending field as (path, message)."""
    listing = [{"name": name, "message": message} for name, message in fields]
    text = "; ".join(f"{name}: {message}" for name, message in fields)
    return ApiError("ValidationException", text, {"reason": reason, "fieldList": listing})


def simple_error(code: str) -> ApiError:
    """The usual wording of an error that needs no particulars."""
    messages = {
        "ThrottlingException": "Rate exceeded",
        "ExpiredTokenException": "The security token included in the request is expired",
        "InternalServerException": "An internal error occurred",
    }
    return ApiError(code, messages[code])
