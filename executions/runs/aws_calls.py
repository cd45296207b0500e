"""Work that calls AWS: the database is used in this thread, HTTP wherever the caller runs it.

`AwsCalls` is a generator. It yields each AWS call (HTTP only, no ORM) and receives the answer, or the DrsError. A
worker makes the call inline; the sweep makes it in a thread, so that no region keeps another one waiting.
"""

import logging
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from django.db import connection

from contract import log_context
from contract.database_errors import is_outage
from drs.errors import DrsError

log = logging.getLogger(__name__)

T = TypeVar("T")
Call = Callable[[], Any]
LogFields = dict[str, object]
AwsCalls = Generator[Call, Any, T]

THREADS = 64  # more than DRS takes jobs at once in three regions


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
    """Runs any number of `AwsCalls` at once. Create it after the fork: it owns threads, which only speak HTTP."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="drs")
        self.under_way: dict[Future[Any], tuple[AwsCalls[None], LogFields]] = {}

    def start(self, calls: AwsCalls[None]) -> None:
        """Start it; when this returns it has ended, or waits for its first call."""
        self._continue(calls, calls.__next__, {})

    def collect(self, max_wait: float) -> None:
        """Continue everything whose answer has arrived; if none has, wait at most `max_wait` seconds for one."""
        done, _ = wait(self.under_way, timeout=max_wait, return_when=FIRST_COMPLETED)
        for future in done:
            (calls, fields), error = self.under_way.pop(future), future.exception()
            if error is None:
                self._continue(calls, partial(calls.send, future.result()), fields)
            else:
                self._continue(calls, partial(calls.throw, error), fields)

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
            self.under_way[self.threads.submit(copy_context().run, call)] = calls, fields

    def close(self) -> None:
        """Stop without waiting for AWS; whatever was asked becomes due again when its lease ends."""
        self.threads.shutdown(wait=False, cancel_futures=True)
