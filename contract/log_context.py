"""What a log line is about: the request, the run, the wave. Bound where work on it begins, and written into every JSON
line, so that no message has to repeat it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[dict[str, object] | None] = ContextVar("log_context", default=None)


def current() -> dict[str, object]:
    """The ids that lines carry now, by name."""
    return dict(_about.get() or {})


def note(**ids: object) -> None:
    """Add to what is bound; nothing where nothing is."""
    about = _about.get()
    if about is not None:
        about.update(ids)


@contextmanager
def bound(ids: dict[str, object] | None = None, **more: object) -> Iterator[None]:
    """Lines carry these ids, and those bound around, until the end. What is noted meanwhile goes into `ids` itself, for
    work that is taken up again later."""
    about = {} if ids is None else ids
    for name, value in {**(_about.get() or {}), **more}.items():
        about.setdefault(name, value)
    token = _about.set(about)
    try:
        yield
    finally:
        _about.reset(token)
