"""What can go wrong with a DRS call, sorted by the one question that matters: may it have had its effect?"""

import re
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import assert_never

_ID = re.compile(r"[a-z]+-[0-9a-zA-Z]+")  # of a source server, an instance or a job


class Effect(StrEnum):
    """Whether a call that failed may have done its work."""

    REJECTED = "rejected"  # certainly not; worth another try later
    FATAL = "fatal"  # certainly not, and trying again will not help
    UNCERTAIN = "uncertain"  # perhaps: look before you repeat

    @property
    def is_final(self) -> bool:
        """Whether trying again will not help."""
        match self:
            case Effect.FATAL:
                return True
            case Effect.REJECTED | Effect.UNCERTAIN:
                return False
            case _:
                assert_never(self)

    @property
    def is_unknown(self) -> bool:
        """Whether AWS gave no clear answer."""
        match self:
            case Effect.UNCERTAIN:
                return True
            case Effect.REJECTED | Effect.FATAL:
                return False
            case _:
                assert_never(self)


class Trouble(Enum):
    """The kinds of failure, each with its effect."""

    THROTTLED = Effect.REJECTED, "throttled"
    CONFLICT = Effect.REJECTED, "conflict"
    QUOTA = Effect.REJECTED, "quota"
    CREDENTIALS = Effect.REJECTED, "credentials"
    KEY_OR_REGION = Effect.REJECTED, "key or region"  # the key is gone, or the region is not enabled: AWS says the same
    UNREACHABLE = Effect.REJECTED, "unreachable"
    NOT_SENT = Effect.REJECTED, "not sent"
    OTHER_ACCOUNT = Effect.REJECTED, "other account"  # the credentials are of another one than is meant
    ACCESS_DENIED = Effect.FATAL, "access denied"
    INVALID = Effect.FATAL, "invalid"
    NOT_FOUND = Effect.FATAL, "not found"
    REFUSED = Effect.FATAL, "refused"  # a 4xx with a code that we do not know
    NOT_INITIALIZED = Effect.FATAL, "not initialized"
    REGION_NOT_ENABLED = Effect.FATAL, "region not enabled"
    UNCERTAIN = Effect.UNCERTAIN, "uncertain"

    @property
    def effect(self) -> Effect:
        return self.value[0]


def where(region: str, account: str = "") -> str:
    """A place for people: `account` where it is not that of our own credentials."""
    return f"{region} of account {account}" if account else region


class DrsError(Exception):
    """A failed DRS call: its kind, AWS's own code and text, the region and the operation; the account, where it is
    entered by a role."""

    def __init__(
        self,
        trouble: Trouble,
        *,
        code: str,
        message: str,
        region: str,
        operation: str,
        resource: str = "",
        account: str = "",
        quota: str = "",
        rest: float = 0.0,
    ) -> None:
        message = message.replace("\x00", r"\x00")  # PostgreSQL keeps no NUL
        self.where = where(region, account)
        super().__init__(f"{operation} in {self.where}: {code}: {message}")
        self.trouble = trouble
        self.code = code
        self.message = message
        self.region = region
        self.account = account
        self.operation = operation
        self.resource = resource  # the one that AWS names apart from its text, if it does
        self.rest = rest  # for how many seconds AWS asks to be left alone, as far as that is heeded
        self.quota = quota  # the one that is used up, by its code in Service Quotas, if AWS names it

    def with_code(self, text: str = "") -> str:
        """AWS's text, or another one, behind its code, and with the quota that it is about."""
        text = text or self.message
        about = f" (quota {self.quota})" if self.quota and self.quota not in text else ""
        return f"{self.code}: {text}{about}"

    def names(self, ids: Sequence[str], owners: Sequence[str]) -> set[str]:
        """Those of `ids` that AWS names, by themselves or by their owners, which are in the same order."""
        told = {self.resource, *_ID.findall(self.message)}
        return {each for each, owner in zip(ids, owners, strict=True) if each in told or owner in told}

    @property
    def effect(self) -> Effect:
        return self.trouble.effect


# Our own codes, where AWS was not even asked.
OTHER_ACCOUNT = "OtherAccount"
SWITCHED_OFF = "AccountSwitchedOff"
SUPERSEDED = "InstallationSuperseded"  # another installation of this product has taken over
UNREADABLE = "UnreadableAnswer"  # AWS answered, and not as its model says: a proxy, perhaps

BY_CODE = {
    OTHER_ACCOUNT: Trouble.OTHER_ACCOUNT,
    SWITCHED_OFF: Trouble.CREDENTIALS,
    "ThrottlingException": Trouble.THROTTLED,
    "Throttling": Trouble.THROTTLED,
    "ThrottledException": Trouble.THROTTLED,
    "TooManyRequestsException": Trouble.THROTTLED,
    "RequestLimitExceeded": Trouble.THROTTLED,
    "RequestThrottled": Trouble.THROTTLED,
    "RequestThrottledException": Trouble.THROTTLED,
    "SlowDown": Trouble.THROTTLED,
    "ConflictException": Trouble.CONFLICT,
    "ServiceQuotaExceededException": Trouble.QUOTA,
    "ExpiredToken": Trouble.CREDENTIALS,
    "ExpiredTokenException": Trouble.CREDENTIALS,
    "RequestExpired": Trouble.CREDENTIALS,
    "AuthFailure": Trouble.CREDENTIALS,
    "RequestTimeTooSkewed": Trouble.CREDENTIALS,
    "InvalidSignatureException": Trouble.CREDENTIALS,
    "SignatureDoesNotMatch": Trouble.CREDENTIALS,
    "InvalidClientTokenId": Trouble.CREDENTIALS,
    "MissingAuthenticationToken": Trouble.CREDENTIALS,
    "MissingAuthenticationTokenException": Trouble.CREDENTIALS,
    "IncompleteSignature": Trouble.CREDENTIALS,
    "AccessDeniedException": Trouble.ACCESS_DENIED,
    "AccessDenied": Trouble.ACCESS_DENIED,
    "UnauthorizedOperation": Trouble.ACCESS_DENIED,
    "OptInRequired": Trouble.REGION_NOT_ENABLED,
    "UnrecognizedClientException": Trouble.KEY_OR_REGION,
    "ValidationException": Trouble.INVALID,
    "ParamValidationError": Trouble.INVALID,
    "UninitializedAccountException": Trouble.NOT_INITIALIZED,
    "ResourceNotFoundException": Trouble.NOT_FOUND,
}
