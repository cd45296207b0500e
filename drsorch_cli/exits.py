"""How a command ends: with a code that scripts can rely on, and a sentence for people."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes. Scripts rely on them: none ever gets another meaning."""

    DONE = 0
    FAILED = 1  # it was done, and did not end well: a run that fell short, a pack that does not hold, a failed check
    USAGE = 2
    REFUSED = 3  # the server said no (4xx)
    UNREACHABLE = 4
    TIMED_OUT = 5  # what was waited for goes on
    INTERRUPTED = 130


class Stop(Exception):
    """Ends the command. `error` is the server's code where it has one; `details` are for programs."""

    def __init__(
        self, exit_code: Exit, message: str, *, error: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
        self.error = error or exit_code.name
        self.details = dict(details or {})


class Dropped(Exception):
    """No answer came. `never_sent`: the other side cannot have seen the request."""

    def __init__(self, reason: str, *, never_sent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.never_sent = never_sent


def usage(message: str) -> Stop:
    """For what was typed wrong, or is set wrong."""
    return Stop(Exit.USAGE, message)
