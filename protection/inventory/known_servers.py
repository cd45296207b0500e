"""What lists show of source servers, read in as few steps as it takes: there are thousands of them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypedDict

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from contract.clock import unix
from contract.rest.answers.columns import UnixSeconds
from protection.models import SourceServerQuerySet
from protection.states import replication_trouble, server_state


class StagingArea(TypedDict):
    """The staging account of a server, as DRS tells of it."""

    status: str
    accountId: str | None
    errorMessage: str | None


class Known(NamedTuple):
    """What is shown of a source server; a tuple and not a model, because a list holds thousands of them. Times are Unix
    seconds. What has a default is true of few servers, and is read of those alone."""

    pk: str
    name: str
    replication_state: str
    lag_duration: str
    gone: int | None = None
    replication_error: str = ""
    replication_direction: str = ""
    staging_status: str = ""
    staging_account: str = ""
    staging_error: str = ""
    not_kept: str = ""
    silent: int | None = None

    @property
    def state(self) -> str:
        return _state(
            self.replication_state,
            self.replication_error,
            self.replication_direction,
            self.staging_status,
            self.staging_error,
        )

    @property
    def staging_area(self) -> StagingArea | None:
        if self.staging_status in ("", "NOT_EXTENDED"):
            return None
        account, error = self.staging_account or None, self.staging_error or None
        return StagingArea(status=self.staging_status, accountId=account, errorMessage=error)


@lru_cache(maxsize=256)
def _state(replication_state: str, error: str, direction: str, staging_status: str, staging_error: str) -> str:
    """Our word for its state; most servers of a list are in the same."""
    trouble = replication_trouble(
        error=error, staging_status=staging_status, staging_error=staging_error, direction=direction
    )
    return server_state(replication_state, trouble).value


_COMMON = [name for name in Known._fields if name not in Known._field_defaults]
_DEFAULTS = tuple(Known._field_defaults.values())
_ORDINARY = Q(
    gone_at=None,
    replication_error="",
    replication_direction__in=("", "FAILOVER"),
    staging_status__in=("", "NOT_EXTENDED"),
    not_kept="",
    agent_silent_since=None,
)

Row = tuple[str, ...]  # the first values of Known, and when DRS last told of the server, as the database's text


class KnownServers:
    """Servers by their ids, in the order in which they are asked for: what is told of all, and `odd`, those of which
    more is told. Two queries."""

    def __init__(self, found: SourceServerQuerySet) -> None:
        timed = found.annotate(gone=UnixSeconds("gone_at"), silent=UnixSeconds("agent_silent_since"))
        odd = {row[0]: Known._make(row) for row in timed.exclude(_ORDINARY).order_by().values_list(*Known._fields)}
        rows = found.values_list(*_COMMON, Cast("seen_at", TextField()))
        self.rows: dict[str, Row] = {row[0]: row for row in rows}
        self.odd = {pk: known for pk, known in odd.items() if pk in self.rows}  # others were deleted meanwhile
        texts = {row[-1] for row in self.rows.values()}  # one a round of reading
        self._seen = {text: unix(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in texts}

    def get(self, server_id: str) -> Known | None:
        """None of one that was never read."""
        row = self.rows.get(server_id)
        return self.odd.get(server_id) or (Known._make(row[:-1] + _DEFAULTS) if row else None)

    def all(self) -> list[Known]:
        return [known for pk in self.rows if (known := self.get(pk))]

    def odd_among(self, ids: Iterable[str]) -> list[Known]:
        """Those of these servers of which more is told."""
        return [self.odd[each] for each in ids if each in self.odd] if self.odd else []

    def oldest(self, rows: Iterable[Row]) -> int | None:
        """When DRS told of the one of these that was read longest ago."""
        return min([self._seen[text] for text in {row[-1] for row in rows}], default=None)
