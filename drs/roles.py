"""How accounts other than our own are entered: by a role there, assumed with our own credentials.

Whoever knows the roles registers how to find one (`use`); nothing here knows where they are kept. Credentials of a role
are asked of the STS of the region that they are used in, so that an outage of one region costs only that one, and are
renewed before they expire: as long as that fails and they are still good, they are used.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.credentials import DeferredRefreshableCredentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from drs.classify_errors import RoleRefusedError

OPERATION = "AssumeRole"
ADVISORY = timedelta(minutes=15)  # before they expire: renewed, if that works
MANDATORY = timedelta(minutes=5)  # not used any more, so that a call that takes long ends before them
STILL_REFUSED = 1.0  # seconds
SESSION_NAME_MAX = 64


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


def use(find: Callable[[str], Role | None], *, session_name: str) -> None:
    """From now on accounts are entered by the roles that `find` names; None: by our own credentials. It must not wait
    for anything: it is called before every request."""
    _Known.find, _Known.session_name = staticmethod(find), session_name


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

    def __init__(self, role: Role, sts: Callable[[], Any]) -> None:
        super().__init__(refresh_using=self._assume, method="assume-role")
        self.role = role
        self.sts = sts
        self.refused: tuple[float, RoleRefusedError] | None = None  # when, and why

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
            told = self.sts().assume_role(**asked)["Credentials"]
        except (ClientError, BotoCoreError) as error:
            raise RoleRefusedError(self.role.account, self.role.arn, error) from error
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
