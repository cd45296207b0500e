"""When a refusal is written. Within a request: once its answer is ready, because the transaction that refused, and any
around it, must be over before. Elsewhere: at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import transaction

Write = Callable[[], None]

_noted: ContextVar[list[Write] | None] = ContextVar("noted_refusals", default=None)


@contextmanager
def deferred() -> Iterator[list[Write]]:
    """Collect the refusals of a request instead of writing them."""
    noted: list[Write] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def note(write: Write) -> None:
    """Write a refusal in a transaction of its own, or keep it for the end of the request."""
    noted = _noted.get()
    if noted is None:
        write_deferred([write])
    else:
        noted.append(write)


def write_deferred(noted: list[Write]) -> None:
    """Write the deferred entries."""
    for write in noted:
        with transaction.atomic():
            write()
