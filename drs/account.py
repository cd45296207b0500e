"""Whose the credentials are, our own and those of the roles by which other accounts are entered: asked of STS once for
each set of credentials.

An account does not see what is another one's, and launches what it is asked to. So before anything that DRS says is
believed, and before anything is sent, the account of the credentials is compared with the one that is meant.
"""

import os
import threading
import time
from collections import defaultdict
from functools import cache, partial
from typing import TYPE_CHECKING, Any, assert_never

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import NoCredentialsError

from drs import failed_call_counts
from drs.classify_errors import FAILED_CALL, classify
from drs.errors import OTHER_ACCOUNT, SWITCHED_OFF, DrsError, Effect, Trouble
from drs.roles import Role, RoleCredentials, first_answer, role_of

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

_QUICK = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
_REMEMBERED = 512  # sets of credentials: a role's are renewed about once an hour, in each region by itself
_STILL_FAILING = 1.0  # seconds for which those who waited behind a failed question take its failure for theirs
OPERATION = "GetCallerIdentity"


Key = tuple[str, str]  # access key, session token
Way = tuple[Role | None, str]  # the role by which an account is entered, None: as ourselves; and the role's region

making = threading.Lock()  # held while a client is made: sessions are not thread-safe
_accounts: dict[Key, str] = {}
_looked_at: dict[Way, tuple[object, Credentials]] = {}  # what is renewed in place, and whose it is
_failed: dict[tuple[Key, str], tuple[float, DrsError]] = {}
_asking: dict[tuple[Key, str], threading.Lock] = defaultdict(threading.Lock)


@cache
def session(pid: int) -> boto3.session.Session:
    """One a process: it keeps the service model, which is most of what making a client costs."""
    return boto3.session.Session()


@cache
def _role_session(role: Role, region: str, pid: int) -> botocore.session.Session:
    """One a role, region and process, which shares the service models with our own."""
    ours = session(pid)
    entered = botocore.session.Session()
    loader: Any = ours._session.get_component("data_loader")
    entered.register_component("data_loader", loader)
    whole: Any = entered  # botocore has no other way to give a session credentials that are renewed
    whole._credentials = RoleCredentials(role, region, _sts_of_ours)
    return entered


def _sts_of_ours(region: str) -> Any:
    with making:
        return session(os.getpid()).client("sts", region_name=region, config=_QUICK)


def make_client(service: str, region: str, config: Config, role: Role | None, pid: int) -> Any:
    """A client that is signed by our own credentials, or by those of a role. `making` is held by whoever calls."""
    if role is None:
        ours: Any = session(pid).client
        return ours(service, region_name=region, config=config)
    entered: Any = _role_session(role, region, pid)
    client = entered.create_client(service, region_name=region, config=config)
    client.meta.events.register("after-call", entered.get_credentials().after_call)
    return client


def account_id(region: str) -> str:
    """The 12-digit account id of our own credentials; raises DrsError when they, or STS, cannot be asked."""
    return _account_of(_credentials(region, None), region)


def check(region: str, account: str) -> str:
    """The access key of the credentials that are used for this account, which are certainly of it.

    Raises DrsError, always one by which certainly nothing was sent: OTHER_ACCOUNT when they are of another one; why
    its role cannot be assumed; why STS does not say whose they are, when nobody knows. Credentials that were looked at
    once stay known, whatever becomes of STS.
    """
    role = open_role(region, account)
    credentials = _credentials(region, role)
    try:
        ours = _account_of(credentials, region)
    except DrsError as error:
        _, found = _looked_at[_way(role, region)]
        if isinstance(found, RoleCredentials):
            found.note_refusal(error.code, error.message)
        raise
    if ours != account:
        raise failed_call_counts.note(other_account(region, ours=ours, meant=account))
    return credentials.access_key or ""


def open_role(region: str, account: str) -> Role | None:
    """The role by which an account is entered. Raises DrsError where somebody has switched it off."""
    role = role_of(account)
    if role is not None and role.closed:
        raise DrsError(Trouble.CREDENTIALS, code=SWITCHED_OFF, message=role.closed, region=region, operation=OPERATION)
    return role


def is_known(account: str, region: str) -> bool:
    """Whether the credentials for an account are certainly of it, as far as that is known without asking anybody: those
    that are about to be renewed are not."""
    role = role_of(account)
    if role is not None and role.closed:
        return False
    owner, credentials = _looked_at.get(_way(role, region), (None, None))
    if credentials is None or owner is not _owner(role, region):
        return False
    if isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed():
        return False
    frozen = credentials.get_frozen_credentials()
    return _accounts.get((frozen.access_key or "", frozen.token or "")) == account


def _way(role: Role | None, region: str) -> Way:
    return role, region if role else ""


def _owner(role: Role | None, region: str) -> object:
    return session(os.getpid()) if role is None else _role_session(role, region, os.getpid())


def other_account(region: str, *, ours: str, meant: str) -> DrsError:
    """What those who wait for the right credentials are told."""
    text = (
        f"The AWS credentials in use are for account {ours}; these servers are in account {meant}. Nothing is sent or"
        f" concluded until the credentials are for account {meant}."
    )
    return DrsError(Trouble.OTHER_ACCOUNT, code=OTHER_ACCOUNT, message=text, region=region, operation=OPERATION)


def _credentials(region: str, role: Role | None) -> "ReadOnlyCredentials":
    """As they are now: a role's are renewed in place, which may fail."""
    try:
        with making:
            of: Any = _owner(role, region)
            found: Credentials | None = of.get_credentials()
        if found is None:
            raise NoCredentialsError
        _looked_at[_way(role, region)] = of, found
        return found.get_frozen_credentials()
    except FAILED_CALL as error:
        raise failed_call_counts.note(_certain_account(error, region)) from error


def _account_of(credentials: "ReadOnlyCredentials", region: str) -> str:
    """One question at a time: whoever comes meanwhile waits for its answer."""
    key = credentials.access_key or "", credentials.token or ""
    if known := _accounts.get(key):
        return known
    with _asking[key, region]:
        if known := _accounts.get(key):
            return known
        failed = _failed.get((key, region))
        if failed is not None and time.monotonic() < failed[0] + _STILL_FAILING:
            raise failed[1]
        try:
            account = first_answer(region, partial(_ask_sts, credentials))
        except FAILED_CALL as error:
            told = failed_call_counts.note(_certain_account(error, region))
            _failed[key, region] = time.monotonic(), told
            raise told from error
        _cache(key, account)
        return account


def _ask_sts(credentials: "ReadOnlyCredentials", region: str) -> str:
    """With these very credentials, whatever the session has by now."""
    with making:
        sts = session(os.getpid()).client(
            "sts",
            region_name=region,
            config=_QUICK,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
        )
    return sts.get_caller_identity()["Account"]


def _cache(key: Key, account: str) -> None:
    if len(_accounts) >= _REMEMBERED:
        _accounts.clear()
        _failed.clear()
    _accounts[key] = account


def _certain_account(error: Exception, region: str) -> DrsError:
    """The question has no effect, and what it stands before was not sent: never uncertain, and never for good."""
    told = classify(error, region=region, operation=OPERATION)
    effect = told.effect
    match effect:
        case Effect.REJECTED:
            return told
        case Effect.FATAL:
            trouble = Trouble.CREDENTIALS
        case Effect.UNCERTAIN:
            trouble = Trouble.UNREACHABLE
        case _:
            assert_never(effect)
    return DrsError(trouble, code=told.code, message=told.message, region=region, operation=OPERATION)
