"""The one error class of the product: a code that clients switch on, a sentence for people, and details."""

from collections.abc import Mapping, Sequence
from typing import Any

from contract.codes import ExplainedCode


class DomainError(Exception):
    """A refusal with a contract code. `retry_after` is in seconds and becomes the Retry-After header."""

    status = 500
    code = "INTERNAL_ERROR"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        advice = {"advice": code.advice} if isinstance(code, ExplainedCode) else {}
        self.details: dict[str, Any] = {**advice, **(details or {})}
        self.retry_after = retry_after


class BadRequest(DomainError):
    status = 400


class Unauthenticated(DomainError):
    status = 401

    def __init__(self, message: str = "Sign in, or send a valid Bearer token.") -> None:
        super().__init__("UNAUTHENTICATED", message)


class Forbidden(DomainError):
    status = 403

    def __init__(self, message: str, *, code: str = "FORBIDDEN", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message, details=details)


class NotFound(DomainError):
    status = 404

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__("NOT_FOUND", message, details=details)


class Conflict(DomainError):
    status = 409


class VersionConflict(DomainError):
    status = 412

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__("VERSION_CONFLICT", message, details=details)


class PayloadTooLarge(DomainError):
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            "PAYLOAD_TOO_LARGE",
            f"The body is larger than {limit:,} bytes. Send less, in several requests if necessary.",
            details={"maxBytes": limit},
        )


class Unprocessable(DomainError):
    status = 422


class BadGateway(DomainError):
    status = 502


class Unavailable(DomainError):
    status = 503


MOST_FAULTS = 20
TEXT_MAX, PATH_MAX = 300, 100


def few(fields: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The first faults, each no longer than a person reads; the last line says that there are more."""
    found: dict[str, list[str]] = {}
    left = MOST_FAULTS
    for path, texts in fields.items():
        if not left:
            break
        some = [text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…" for text in texts[:left]]
        found[path[:PATH_MAX]] = some
        left -= len(some)
    if sum(map(len, found.values())) < sum(map(len, fields.values())):
        found.setdefault("", []).append(f"There are more than these {MOST_FAULTS}. Correct these first.")
    return found


class Invalid(BadRequest):
    """Input that cannot be used. `fields` maps a path such as `waves[1].serverIds` to its sentences, a few at most."""

    def __init__(
        self,
        fields: Mapping[str, Sequence[str]],
        *,
        code: str = "VALIDATION_ERROR",
        message: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.fields = few(fields)
        first = next(iter(self.fields.items()), ("", ["The request is not valid."]))
        text = message or (f"{first[0]}: {first[1][0]}" if first[0] else first[1][0])
        super().__init__(code, text, details={"fields": self.fields, **(details or {})})
