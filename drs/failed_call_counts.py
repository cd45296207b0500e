"""How often DRS calls failed in this process, by AWS's code; whoever has a database takes the counts and keeps them."""

import threading
from collections import Counter
from collections.abc import Mapping

from drs.errors import DrsError

Key = tuple[str, str, str]  # code, operation, region

_counts: Counter[Key] = Counter()
_lock = threading.Lock()


def note(error: DrsError) -> DrsError:
    """Count a failed call; answers it, for the `raise`."""
    with _lock:
        _counts[error.code, error.operation, error.region] += 1
    return error


def is_empty() -> bool:
    """Whether nothing has failed since the last `take`."""
    return not _counts


def take() -> dict[Key, int]:
    """The counts since the last time; they are the caller's from here on."""
    with _lock:
        taken = dict(_counts)
        _counts.clear()
    return taken


def give_back(counts: Mapping[Key, int]) -> None:
    """What could not be kept is kept here until the next time."""
    with _lock:
        _counts.update(counts)
