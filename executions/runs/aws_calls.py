"""Work that calls AWS: the database is used in this thread, HTTP wherever the caller runs it.

`AwsCalls` is a generator. It yields each AWS call (HTTP only, no ORM) and receives the answer, or the DrsError. A
worker makes the call inline; the sweep makes it in a thread, so that no region keeps another one waiting.
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.db import connection

from accounts import registry
from contract import log_context
from contract.database_errors import is_outage
from drs.client import Drs
from drs.errors import DrsError

log = logging.getLogger(__name__)

T = TypeVar("T")
Call = Callable[[], Any]
LogFields = dict[str, object]
AwsCalls = Generator[Call, Any, T]
Place = tuple[str, str]  # account, region

THREADS = 24  # of each account and region: more than DRS takes jobs at once there


def run_inline(calls: AwsCalls[T]) -> T:
    """Run to the end, making each call in this thread."""
    with log_context.bound():
        try:
            call = next(calls)
            while True:
                _check_no_transaction()
                try:
                    answer = call()
                except DrsError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


def _check_no_transaction() -> None:
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):  # as for durable blocks
        raise RuntimeError("a transaction must not stay open over a call to AWS")


class CallPool:
    """Runs any number of `AwsCalls` at once, the calls of each account's region in threads of their own: one that hangs
    costs only itself. Create it after the fork. The threads only speak HTTP.

    Of all that ask a place which jobs there are, one list serves those who asked since the list before began.
    """

    def __init__(self) -> None:
        self.threads: dict[Place, ThreadPoolExecutor] = {}
        self.under_way: dict[Future[Any], tuple[AwsCalls[None], LogFields]] = {}
        self.listings: dict[Drs, list[tuple[datetime, Future[Any]]]] = {}  # that nobody has begun to ask for

    def start(self, calls: AwsCalls[None]) -> None:
        """Start it; when this returns it has ended, or waits for its first call."""
        self._continue(calls, calls.__next__, {})

    def collect(self, max_wait: float, budget: float = float("inf")) -> None:
        """Continue everything whose answer has arrived; if none has, wait at most `max_wait` seconds for one. What
        there is no time for within `budget` seconds is left to the next time."""
        for drs in list(self.listings):
            self._list_jobs(drs)
        until = time.monotonic() + max_wait + budget
        done, _ = wait(self.under_way, timeout=max_wait, return_when=FIRST_COMPLETED)
        for future in done:
            (calls, fields), error = self.under_way.pop(future), future.exception()
            if error is None:
                self._continue(calls, partial(calls.send, future.result()), fields)
            else:
                self._continue(calls, partial(calls.throw, error), fields)
            if time.monotonic() > until:
                return

    def _continue(self, calls: AwsCalls[None], resume: Callable[[], Call], fields: LogFields) -> None:
        """`fields` is added to the log lines of this work, here and in the thread of its call."""
        with log_context.bound(fields):
            self._send_next(calls, resume, fields)

    def _send_next(self, calls: AwsCalls[None], resume: Callable[[], Call], fields: LogFields) -> None:
        try:
            call = resume()
            _check_no_transaction()
        except StopIteration:
            return
        except Exception as error:  # one run's trouble must not stop the others; its lease ends and it is tried again
            if is_outage(error):  # nobody could go on
                raise
            log.exception("Unexpected error while working on a run; it will be retried when its lease expires")
        else:
            self.under_way[self._submit(call)] = calls, fields

    def _submit(self, call: Call) -> Future[Any]:
        listing = _as_listing(call)
        if listing is None:
            return self._threads_of(_place_of(call)).submit(copy_context().run, call)
        (drs, since), future = listing, Future[Any]()
        self.listings.setdefault(drs, []).append((since, future))
        return future

    def _list_jobs(self, drs: Drs) -> None:
        """One list for all who wait for one."""
        asked = self.listings.pop(drs)
        oldest = min(since for since, _ in asked)
        self._threads_of((drs.account, drs.region)).submit(copy_context().run, partial(_serve, drs, oldest, asked))

    def _threads_of(self, place: Place) -> ThreadPoolExecutor:
        if place not in self.threads:
            name = " ".join(filter(None, ("drs", *place)))
            self.threads[place] = ThreadPoolExecutor(
                THREADS, thread_name_prefix=name, initializer=registry.without_database
            )
        return self.threads[place]

    def close(self) -> None:
        """Stop without waiting for AWS; whatever was asked becomes due again when its lease ends."""
        for threads in self.threads.values():
            threads.shutdown(wait=False, cancel_futures=True)


def _serve(drs: Drs, oldest: datetime, asked: Sequence[tuple[datetime, Future[Any]]]) -> None:
    try:
        jobs = drs.jobs_since(oldest)
    except Exception as error:  # whatever it is: it is raised where it was asked for
        for _, future in asked:
            future.set_exception(error)
        return
    for since, future in asked:
        future.set_result([job for job in jobs if not job.dated or job.created_at >= since.replace(microsecond=0)])


def _as_listing(call: Call) -> tuple[Drs, datetime] | None:
    """Whom this call asks for every job made since when, if that is what it does."""
    owner = getattr(call.func, "__self__", None) if isinstance(call, partial) else None
    if isinstance(call, partial) and isinstance(owner, Drs) and call.func == owner.jobs_since:
        return owner, call.args[0]
    return None


def _place_of(call: Call) -> Place:
    """Where a call goes: it is one of a Drs, or a partial of a function that is told a region and an account, or a
    question, first."""
    if not isinstance(call, partial):
        return "", ""
    owner = getattr(call.func, "__self__", None)
    first, *others = (owner,) if isinstance(owner, Drs) else (*call.args, "")
    if isinstance(first, str):
        return next((each for each in others if isinstance(each, str)), ""), first
    if isinstance(first, Drs):
        return first.account, first.region
    return str(getattr(first, "account", "")), str(getattr(first, "region", ""))
