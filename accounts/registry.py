"""Which accounts are entered by which role, and what they are called: known to every thread without a database.

`drs` asks for a role before every request, also in threads that only speak HTTP. So the rows are kept in memory, and
read anew by whoever may read them, when they are older than a few seconds. A role that is a few seconds old can do no
harm: whose credentials it leads to is compared before anything is sent.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import DatabaseError

from accounts.models import Account
from drs.roles import Role

SECONDS = 5.0


@dataclass(frozen=True)
class Known:
    """An account, as far as it matters to whoever asks AWS or shows a page."""

    account_id: str
    name: str
    role: Role | None
    regions: tuple[str, ...] = ()
    enabled: bool = True


@dataclass
class _Kept:
    accounts: Mapping[str, Known] = field(default_factory=dict)
    until: float = 0.0
    is_read: bool = False


_kept = _Kept()
_thread = threading.local()


def without_database() -> None:
    """This thread reads no rows: it takes what others have read."""
    _thread.has_no_database = True


def known() -> Mapping[str, Known]:
    """By account id."""
    if time.monotonic() >= _kept.until and not getattr(_thread, "has_no_database", False):
        try:
            _kept.accounts = {each.pk: _known(each) for each in Account.objects.all()}
            _kept.is_read = True
        except DatabaseError:  # what was read a moment ago is as true as before; whose credentials it is, STS says
            if not _kept.is_read:
                raise
        _kept.until = time.monotonic() + SECONDS
    return {**_kept.accounts, **getattr(_thread, "also", {})}


@contextmanager
def as_if(rows: Iterable[Account]) -> Iterator[None]:
    """In this thread these are known as well: to look whether what is to be saved together with them could be."""
    _thread.also = {each.pk: _known(each) for each in rows}
    try:
        yield
    finally:
        del _thread.also


def forget() -> None:
    """A row was changed here: read it anew at once."""
    _kept.until = 0.0


def _known(row: Account) -> Known:
    role = None
    if row.role_arn:
        text = f"The account {row.name} ({row.pk}) is switched off under Settings → Accounts: nothing is sent there."
        role = Role(row.pk, row.role_arn, row.external_id, "" if row.enabled else text)
    return Known(row.pk, row.name, role, tuple(row.regions), row.enabled)


def role_of(account: str) -> Role | None:
    """For `drs`; None: by our own credentials."""
    found = known().get(account)
    return found.role if found else None


def way_of(account: str) -> str:
    """How the inventory tells apart what was read as whom: the account that is entered by a role; else, for that of our
    own credentials whichever it is, nothing."""
    return account if role_of(account) else ""


def entered() -> list[Known]:
    """The accounts that are entered by a role and switched on."""
    return [each for each in known().values() if each.role and each.enabled]


def names() -> Mapping[str, str]:
    """What accounts are called, where there is more than one to tell apart; else nothing needs a name."""
    found = known()
    return {each.account_id: each.name for each in found.values()} if any(each.role for each in found.values()) else {}


def name_of(account: str) -> str:
    """For people: the name, or the id of one without a name. Empty where there is one account only."""
    told = names()
    return told.get(account, account) if told else ""
