"""Django's cache in files, which makes room now and then."""

from itertools import count
from typing import Any

from django.core.cache.backends.filebased import FileBasedCache

WRITES = 20


class FileCache(FileBasedCache):
    """Django's lists all entries for each that it writes, to see whether they are too many: of a thousand, that took
    twenty times what the writing takes. Every twentieth time keeps the same bound within twenty for each process."""

    def __init__(self, place: str, params: dict[str, Any]) -> None:
        super().__init__(place, params)
        self._writes = count()

    def _cull(self) -> None:
        if next(self._writes) % WRITES == 0:
            super()._cull()  # type: ignore[misc]  # not in the stubs
