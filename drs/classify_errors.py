"""What a failed boto3 call was, in our words: may it have had its effect?"""

import re

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from drs.errors import BY_CODE, DrsError, Trouble

_NOT_SENT: tuple[type[Exception], ...] = (
    EndpointConnectionError,
    ConnectTimeoutError,
    ProxyConnectionError,
)
_NO_CREDENTIALS: tuple[type[Exception], ...] = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

# TLS that was never agreed on: no request went out. It may also break later, in the middle of an answer.
_BEFORE_THE_REQUEST = re.compile(
    "CERTIFICATE_VERIFY|HANDSHAKE|WRONG_VERSION|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|UNKNOWN_CA|doesn't match"
)


class HeldBackError(Exception):
    """A request that was not sent, because it must not be sent any more as it was made."""


class SendWindowClosedError(HeldBackError):
    """The intent to launch is too old to be sent now: another engine may already act on it."""


class OtherCredentialsError(HeldBackError):
    """The request was signed with other credentials than those whose account was looked at."""


def _by_status(status: int) -> Trouble:
    """What a code that we do not know means: a 4xx is a refusal, whatever its words; 408 came of waiting."""
    if status == 429:
        return Trouble.THROTTLED
    return Trouble.REFUSED if 400 <= status < 500 and status != 408 else Trouble.UNCERTAIN


def classify(error: Exception, *, region: str, operation: str) -> DrsError:
    """Sort any exception of a boto3 call by whether it may have had its effect."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "Unknown")
        message = error.response.get("Error", {}).get("Message", str(error))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        trouble = BY_CODE.get(code) or _by_status(status)
        resource = str(error.response.get("resourceId", ""))
        return DrsError(trouble, code=code, message=message, region=region, operation=operation, resource=resource)
    trouble = Trouble.UNCERTAIN
    if isinstance(error, SendWindowClosedError):
        trouble = Trouble.NOT_SENT
    elif isinstance(error, OtherCredentialsError):
        trouble = Trouble.CREDENTIALS
    elif isinstance(error, ParamValidationError | NoRegionError):
        trouble = Trouble.INVALID
    elif isinstance(error, _NO_CREDENTIALS):
        trouble = Trouble.CREDENTIALS
    elif isinstance(error, _NOT_SENT) or (isinstance(error, SSLError) and _BEFORE_THE_REQUEST.search(str(error))):
        trouble = Trouble.UNREACHABLE
    return DrsError(trouble, code=type(error).__name__, message=str(error), region=region, operation=operation)
