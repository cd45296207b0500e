"""A run as this process read it last, for the polls of all who have its page open: of many, one reads its waves and
counts its servers, the others find what it read, and what was made of it for pages that show the same."""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import NamedTuple

from executions.models import Execution
from executions.runs.server_counts import Progress

MOST_RUNS = 32
MOST_NEWS = 64
NEWS_SECONDS = 30
MOST_FAILED = 200  # servers of a run, which are kept with it one by one


class Read(NamedTuple):
    """The run with its waves and jobs, and what was counted. Several threads look at it: nobody changes it."""

    execution: Execution
    progress: Progress


class RecentRuns:
    """Each run as it was last read. `state` is all that tells that something in it has changed, read before it: what is
    kept may be newer than that, never older."""

    def __init__(self) -> None:
        self._kept: OrderedDict[uuid.UUID, tuple[object, Read]] = OrderedDict()
        self._lock = Lock()

    def get(self, execution_id: uuid.UUID, state: object, read: Callable[[], Read]) -> Read:
        with self._lock:
            kept = self._kept.get(execution_id)
            if kept is not None and kept[0] == state:
                self._kept.move_to_end(execution_id)
                return kept[1]
        found = read()
        if sum(map(len, found.progress.failed.values())) <= MOST_FAILED:
            with self._lock:
                self._kept[execution_id] = state, found
                self._kept.move_to_end(execution_id)
                while len(self._kept) > MOST_RUNS:
                    self._kept.popitem(last=False)
        return found


class RecentNews:
    """What pages are sent, for half a minute. The key is all that it is made of, but for what has changed since then
    without a new revision: of that it may be newer than its key, never older."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[float, tuple[str, str]]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        now = monotonic()
        with self._lock:
            until, kept = self._kept.get(key, (0.0, ("", "")))
        if now < until:
            return kept
        made = make()
        with self._lock:
            self._kept[key] = now + NEWS_SECONDS, made
            while len(self._kept) > MOST_NEWS:
                self._kept.popitem(last=False)
        return made
