"""How accounts other than our own are entered: by a role there, assumed with our own credentials.

Whoever knows the roles registers how to find one (`use`); nothing here knows where they are kept. Credentials of a role
are asked of the STS of the region that they are used in, so that an outage of one region costs only that one, and of
that of our own region where the other is silent, or closed to our account: those are good everywhere. They are renewed
before they expire: as long as that fails and they are still good, they are used.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.credentials import DeferredRefreshableCredentials, ReadOnlyCredentials
from botocore.exceptions import ClientError, HTTPClientError

from drs.arns import partition_of
from drs.classify_errors import FAILED_CALL, RoleRefusedError

OPERATION = "AssumeRole"
ADVISORY = timedelta(minutes=15)  # before they expire: renewed, if that works
MANDATORY = timedelta(minutes=5)  # not used any more, so that a call that takes long ends before them
STILL_REFUSED = 1.0  # seconds
NEW_FOR = 30.0  # seconds for which credentials that AWS refuses are not asked for again
# Known: sessions of a role that was deleted stay refused when it is made anew, and those of a role whose sessions were
# revoked by its explicit denial; EC2 has codes of its own.
_OF_NO_USE = frozenset(
    {"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException"}
    | {"AuthFailure", "RequestExpired"}
)
_REVOKED = "explicit deny in an identity-based policy"
# An STS that does not know our own keys: its region is not enabled for our account, or it was switched off there.
_CLOSED = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "RegionDisabledException"})
SESSION_NAME_MAX = 64

T = TypeVar("T")


def _is_news(record: logging.LogRecord) -> bool:
    """botocore writes a traceback each time credentials cannot be renewed; of a role's whoever asked is told why."""
    return not (record.exc_info and isinstance(record.exc_info[1], RoleRefusedError))


logging.getLogger("botocore.credentials").addFilter(_is_news)


@dataclass(frozen=True)
class Role:
    """By which role an account is entered. `closed` is why it must not be, for people."""

    account: str
    arn: str
    external_id: str = ""
    closed: str = ""


class _Known:
    """What was registered."""

    find: Callable[[str], Role | None] = staticmethod(lambda _: None)
    session_name: str = "drsorch"
    home: str = ""


def use(find: Callable[[str], Role | None], *, session_name: str, home: str) -> None:
    """From now on accounts are entered by the roles that `find` names; None: by our own credentials. It must not wait
    for anything: it is called before every request. `home` is the region that we run in."""
    _Known.find, _Known.session_name, _Known.home = staticmethod(find), session_name, home


def first_answer(region: str, ask: Callable[[str], T]) -> T:
    """What the STS of a region says; where it is silent, or closed to us, that of our own region."""
    home = _Known.home
    if home in ("", region) or partition_of(home) != partition_of(region):
        return ask(region)
    try:
        return ask(region)
    except (ClientError, HTTPClientError) as error:
        if isinstance(error, ClientError) and not _may_know_better(error):
            raise
    return ask(home)


def _may_know_better(error: ClientError) -> bool:
    """Whether another region's STS may answer what this one did not."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or error.response.get("Error", {}).get("Code", "") in _CLOSED


def role_of(account: str) -> Role | None:
    return _Known.find(account) if account else None


def session_name(*words: str) -> str:
    """What the account's CloudTrail calls whoever assumed the role, in the characters that STS allows."""
    text = "-".join(re.sub(r"[^\w+=,.@-]", "-", each, flags=re.ASCII) for each in words if each)
    return text[:SESSION_NAME_MAX]


_call = threading.local()


@contextmanager
def one_call() -> Iterator[None]:
    """What is asked in here, by this thread, is asked with one set of credentials: the one that was looked at."""
    _call.frozen = {}
    try:
        yield
    finally:
        del _call.frozen


class RoleCredentials(DeferredRefreshableCredentials):
    """Renewed by botocore's own rules, a share of their life before they expire where that is short."""

    def __init__(self, role: Role, region: str, sts: Callable[[str], Any]) -> None:
        super().__init__(refresh_using=self._assume, method="assume-role")
        self.role = role
        self.region = region
        self.sts = sts  # of a region
        self.refused: tuple[float, RoleRefusedError] | None = None  # when, and why
        self.made_at = 0.0

    def note_refusal(self, code: str, message: str) -> None:
        """AWS refused a call. Where it takes these for nobody's, they are asked for again before the next one, unless
        they are new: then it is not for their age."""
        of_no_use = code in _OF_NO_USE or (code.startswith("AccessDenied") and _REVOKED in message)
        if of_no_use and time.monotonic() > self.made_at + NEW_FOR:
            expired: Any = self
            expired._expiry_time = datetime.now(UTC)

    def after_call(self, parsed: Mapping[str, Any], **_: Any) -> None:
        """For clients that are signed with these."""
        if told := parsed.get("Error"):
            self.note_refusal(str(told.get("Code", "")), str(told.get("Message", "")))

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """In a call those that it began with: they are still good for longer than it may take."""
        kept: dict[int, ReadOnlyCredentials] = getattr(_call, "frozen", {})
        if id(self) not in kept:
            kept[id(self)] = super().get_frozen_credentials()
        return kept[id(self)]

    def _assume(self) -> dict[str, str]:
        """Of many that wait behind one that failed, each takes that for its own answer: a silent STS is not asked by
        one after the other."""
        if self.refused is not None and time.monotonic() < self.refused[0] + STILL_REFUSED:
            raise self.refused[1]
        try:
            return self._ask()
        except RoleRefusedError as error:
            self.refused = time.monotonic(), error
            raise

    def _ask(self) -> dict[str, str]:
        asked = {"RoleArn": self.role.arn, "RoleSessionName": _Known.session_name}
        asked |= {"ExternalId": self.role.external_id} if self.role.external_id else {}
        try:
            told = first_answer(self.region, lambda region: self.sts(region).assume_role(**asked)["Credentials"])
        except FAILED_CALL as error:
            raise RoleRefusedError(self.role.account, self.role.arn, error) from error
        self.made_at = time.monotonic()
        expires: datetime = told["Expiration"]
        life = expires - datetime.now(expires.tzinfo)
        seconds: Any = self  # botocore takes them for whole ones, and compares them as they are
        seconds._advisory_refresh_timeout = min(ADVISORY, life / 3).total_seconds()
        seconds._mandatory_refresh_timeout = min(MANDATORY, life / 6).total_seconds()
        return {
            "access_key": told["AccessKeyId"],
            "secret_key": told["SecretAccessKey"],
            "token": told["SessionToken"],
            "expiry_time": expires.isoformat(),
        }
