"""Work that needs AWS in between: database here, HTTP wherever the driver likes.

An errand is a generator. It yields each call to AWS (HTTP only, no ORM) and gets the answer back, or the DrsError. A
worker makes the call right there; the sweep has threads make it, so that no region keeps another one waiting.
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
About = dict[str, object]
Errand = Generator[Call, Any, T]

THREADS = 64  # more than DRS takes jobs at once in three regions


def do_now(errand: Errand[T]) -> T:
    """Do an errand to its end, making each call here and now."""
    with log_context.bound():
        try:
            call = next(errand)
            while True:
                _check_no_transaction()
                try:
                    answer = call()
                except DrsError as error:
                    call = errand.throw(error)
                else:
                    call = errand.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


def _check_no_transaction() -> None:
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):  # as for durable blocks
        raise RuntimeError("a transaction must not stay open over a call to AWS")


class Crew:
    """Does any number of errands at once. Make it after the fork: it owns threads, which only speak HTTP."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="drs")
        self.under_way: dict[Future[Any], tuple[Errand[None], About]] = {}

    def start(self, errand: Errand[None]) -> None:
        """Begin an errand; it is over, or waits for its first call, when this returns."""
        self._go_on(errand, errand.__next__, {})

    def collect(self, patience: float) -> None:
        """Go on with every errand whose answer has come; if none has, wait `patience` seconds at most for one."""
        done, _ = wait(self.under_way, timeout=patience, return_when=FIRST_COMPLETED)
        for future in done:
            (errand, about), error = self.under_way.pop(future), future.exception()
            if error is None:
                self._go_on(errand, partial(errand.send, future.result()), about)
            else:
                self._go_on(errand, partial(errand.throw, error), about)

    def _go_on(self, errand: Errand[None], resume: Callable[[], Call], about: About) -> None:
        """`about` is what log lines of this errand carry, here and in the thread of its call."""
        with log_context.bound(about):
            self._resume(errand, resume, about)

    def _resume(self, errand: Errand[None], resume: Callable[[], Call], about: About) -> None:
        try:
            call = resume()
            _check_no_transaction()
        except StopIteration:
            return
        except Exception as error:  # one run's trouble must not stop the others; its lease ends and it is tried again
            if is_outage(error):  # nobody could go on
                raise
            log.exception("an errand failed")
        else:
            self.under_way[self.threads.submit(copy_context().run, call)] = errand, about

    def close(self) -> None:
        """Stop without waiting for AWS; whatever was asked becomes due again when its lease ends."""
        self.threads.shutdown(wait=False, cancel_futures=True)
