"""From which points in time servers can be launched, by DRS's own word of the last minute.

DRS tells them of one server a call, so only servers that somebody is about to launch are asked for: a few at once in
each account and region, no longer than a page may take, and what was read is kept for whoever looks again.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from accounts import registry
from contract.errors import DomainError, Unavailable
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import Snapshot
from protection.inventory.drs_refusals import RETRY_AFTER_SECONDS, drs_trouble
from protection.inventory.recovery_instances import Place

AT_ONCE = 8  # calls of one place
BELIEVED_SECONDS = 90.0
SECONDS_A_QUESTION = 20.0
MOST_KEPT = 8_000  # servers

_UNKNOWN = (Trouble.NOT_FOUND, Trouble.INVALID)  # a server that DRS does not know has no snapshots


@dataclass(frozen=True)
class _Answer:
    """A server's snapshots, newest first, down to the first that is not after `since`; None: all of them."""

    snapshots: Sequence[Snapshot]
    since: datetime | None
    at: float = field(default_factory=time.monotonic)

    def serves(self, since: datetime | None) -> bool:
        if time.monotonic() - self.at > BELIEVED_SECONDS:
            return False
        return self.since is None or (since is not None and since >= self.since)


_kept: dict[tuple[Place, str], _Answer] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class PointsInTime:
    """For each server the newest snapshot that is not after `at`, in the order in which they were asked for; those that
    have none are `missing`, and `nearest` is the first after it that they have, if any."""

    at: datetime
    found: Mapping[str, Snapshot]
    missing: Sequence[str]
    nearest: Mapping[str, Snapshot] = field(default_factory=dict)

    @property
    def skew(self) -> timedelta | None:
        """How far apart they lie: the servers' data is of moments that differ by so much."""
        times = [each.at for each in self.found.values()]
        return max(times) - min(times) if times else None


def points_in_time(servers: Mapping[str, Place], at: datetime) -> PointsInTime:
    """What DRS has of these servers. Raises the contract's DRS errors when it does not say: nothing is guessed."""
    known = snapshots_of(servers, at)
    newest = {server: next((each for each in known[server] if each.at <= at), None) for server in servers}
    found = {server: each for server, each in newest.items() if each is not None}
    missing = [each for each in servers if each not in found]
    return PointsInTime(at, found, missing, {each: known[each][-1] for each in missing if known[each]})


def snapshots_of(servers: Mapping[str, Place], since: datetime | None) -> dict[str, Sequence[Snapshot]]:
    """The snapshots of these servers, newest first, at least down to the first that is not after `since`."""
    with _lock:
        known = {each: _kept.get((place, each)) for each, place in servers.items()}
    asked = {each: servers[each] for each, answer in known.items() if answer is None or not answer.serves(since)}
    known |= _ask_all(asked, since) if asked else {}
    return {each: answer.snapshots for each in servers if (answer := known[each]) is not None}


def _ask_all(servers: Mapping[str, Place], since: datetime | None) -> dict[str, _Answer]:
    """Ask every place at once. The first trouble ends it: what is left would meet the same."""
    until, failed = time.monotonic() + SECONDS_A_QUESTION, threading.Event()
    by_place: dict[Place, list[str]] = {}
    for each, place in servers.items():
        by_place.setdefault(place, []).append(each)
    found: dict[str, _Answer] = {}
    troubles: list[DomainError] = []

    def ask(place: Place, server: str) -> None:
        if failed.is_set() or time.monotonic() > until:
            return
        try:
            found[server] = _ask(place, server, since)
        except DrsError as error:
            failed.set()
            troubles.append(drs_trouble(error))

    registry.known()  # so that threads without a database know how to enter the accounts
    names = (f"snapshots {region}" for _, region in by_place)
    offline = registry.without_database
    pools = [ThreadPoolExecutor(AT_ONCE, thread_name_prefix=name, initializer=offline) for name in names]
    for pool, (place, ids) in zip(pools, by_place.items(), strict=True):
        for each in ids:
            pool.submit(partial(ask, place, each))
    for pool in pools:
        pool.shutdown()
    _keep(servers, found)
    if troubles:
        raise troubles[0]
    if len(found) < len(servers):
        raise _unfinished(len(found), len(servers))
    return found


def _ask(place: Place, server: str, since: datetime | None) -> _Answer:
    account, region = place
    try:
        return _Answer(Drs(region, account).snapshots(server, since), since)
    except DrsError as error:
        if error.trouble in _UNKNOWN:
            return _Answer((), None)
        raise


def _keep(servers: Mapping[str, Place], found: Mapping[str, _Answer]) -> None:
    with _lock:
        _kept.update({(servers[each], each): answer for each, answer in found.items()})
        old = time.monotonic() - BELIEVED_SECONDS
        for key in [key for key, answer in _kept.items() if answer.at < old]:
            del _kept[key]
        while len(_kept) > MOST_KEPT:
            with suppress(KeyError):
                del _kept[next(iter(_kept))]


def forget(servers: Iterable[str]) -> None:
    """Ask anew for these servers: somebody has seen that what was told of them does not hold any more."""
    wanted = set(servers)
    with _lock:
        for key in [key for key in _kept if key[1] in wanted]:
            del _kept[key]


def _unfinished(read: int, wanted: int) -> Unavailable:
    text = (
        f"The snapshots of {read:,} of {wanted:,} servers were read so far: DRS tells them of one server at a time."
        " Try again shortly; what was read is kept."
    )
    return Unavailable("DRS_UNAVAILABLE", text, retry_after=RETRY_AFTER_SECONDS)
