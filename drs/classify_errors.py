"""What a failed boto3 call was, in our words: may it have had its effect?"""

import re
from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
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
from botocore.parsers import ResponseParserError

from drs.errors import BY_CODE, UNREADABLE, DrsError, Trouble

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

REST_MOST = 300.0

_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ResponseParserError)

# TLS that was never agreed on: no request went out. It may also break later, in the middle of an answer.
_BEFORE_THE_REQUEST = re.compile(
    "CERTIFICATE_VERIFY|HANDSHAKE|WRONG_VERSION|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|UNKNOWN_CA|doesn't match"
)


# Quotas that no waiting in line helps with: of one server, which is in a job already, and of the size of one job.
_BY_QUOTA = {"L-DD6D028C": Trouble.CONFLICT, "L-B827C881": Trouble.INVALID}


class HeldBackError(Exception):
    """A request that was not sent, because it must not be sent any more as it was made."""


class SendWindowClosedError(HeldBackError):
    """The intent to launch is too old to be sent now: another engine may already act on it."""


class OtherCredentialsError(HeldBackError):
    """The request was signed with other credentials than those whose account was looked at."""


# All that a call of boto3 raises when it failed. The last ones are of Python and of botocore's parsers, which is no
# BotoCoreError: an answer that cannot be read, such as broken JSON, a job without an id, or a proxy's page in place of
# XML; and credentials that have expired when they are there.
FAILED_CALL: tuple[type[Exception], ...] = (ClientError, BotoCoreError, HeldBackError, *_UNREADABLE, RuntimeError)


class RoleRefusedError(HeldBackError):
    """An account's role could not be assumed, so nothing was sent there; `cause` is what STS, or botocore, said."""

    def __init__(self, account: str, role: str, cause: Exception) -> None:
        super().__init__(f"The role {role} of account {account} cannot be assumed: {cause}")
        self.account = account
        self.role = role
        self.cause = cause

    def told(self, region: str) -> DrsError:
        """Certainly nothing was sent; it is tried again for as long as somebody waits for it."""
        cause = classify(self.cause, region=region, operation="AssumeRole")
        trouble = cause.trouble
        if trouble is not Trouble.THROTTLED:
            silent = trouble in (Trouble.UNCERTAIN, Trouble.UNREACHABLE)
            trouble = Trouble.UNREACHABLE if silent else Trouble.CREDENTIALS
        text = (
            f"The role {self.role} of account {self.account} cannot be assumed: {cause.message.rstrip('.')}."
            f" Nothing is sent to account {self.account} until it can be."
        )
        return DrsError(trouble, code=cause.code, message=text, region=region, operation="AssumeRole")


def _by_status(status: int) -> Trouble:
    """What a code that we do not know means: a 4xx is a refusal, whatever its words; 408 came of waiting."""
    if status == 429:
        return Trouble.THROTTLED
    return Trouble.REFUSED if 400 <= status < 500 and status != 408 else Trouble.UNCERTAIN


def _rest_asked(headers: Mapping[str, str]) -> float:
    """Retry-After: seconds, by the model of DRS. Nobody in a disaster waits for a day because a proxy asks for it."""
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return min(asked, REST_MOST) if asked > 0 else 0.0


def classify(error: Exception, *, region: str, operation: str, account: str = "") -> DrsError:
    """Sort any exception of a boto3 call by whether it may have had its effect. `account` is one that was entered by a
    role."""
    if isinstance(error, RoleRefusedError):
        return error.told(region)
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "Unknown")
        message = error.response.get("Error", {}).get("Message", str(error))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        quota = str(error.response.get("quotaCode", ""))
        trouble = _BY_QUOTA.get(quota) or BY_CODE.get(code) or _by_status(status)
        resource = str(error.response.get("resourceId", ""))
        rest = _rest_asked(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
        told = {"code": code, "message": message, "region": region, "operation": operation, "quota": quota}
        return DrsError(trouble, **told, resource=resource, account=account, rest=rest)
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
    code, message = type(error).__name__, str(error)
    if isinstance(error, _UNREADABLE) and not isinstance(error, BotoCoreError):
        code, message = UNREADABLE, f"What AWS answered cannot be read ({code}: {message})."
    return DrsError(trouble, code=code, message=message, region=region, operation=operation, account=account)
