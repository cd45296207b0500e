"""The servers of a wave as rows, the first of many, and which of them a page has not seen.

A page has the rows of a wave once somebody sees that wave, and says with each poll which it has: by a token, of which
the digest covers all that its rows were made of. What the digest stands for is kept for a while, row by row; so a row
is sent again when, and only when, something that it shows is another. Where that is not known any more, all are sent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db.models import Case, Q, QuerySet, Value, When
from django.template.loader import render_to_string

from contract.storage.prepared import Asked, Prepared
from executions.console.live_page.page_content import Live, WaveCard
from executions.models import ServerRun
from executions.models.not_launched import why_not_launched, why_skipped
from executions.states import LaunchStatus

MOST = 100  # rows of a wave that are shown at once; somebody may ask for as many again
ROWS_AT_FIRST = 50  # of all waves of a page
ASKED_AT_MOST = 100_000
KEPT_SECONDS = 3600
COLUMNS = ["id", *(each.attname for each in ServerRun._meta.concrete_fields if not each.primary_key)]
ID, WAVE = COLUMNS.index("id"), COLUMNS.index("wave_id")
Row = tuple[Any, ...]  # the values of COLUMNS
TOKEN = re.compile(r"([0-9]{1,5})\.([0-9]{1,6})\.([0-9]{1,9})\.([0-9a-f]{16})")
EXCEPTIONS_FIRST = Case(
    When(Q(launch_status=LaunchStatus.FAILED), Value(0)),
    When(~Q(recovery_instance_state="") & Q(launch_status=LaunchStatus.LAUNCHED), Value(1)),
    default=Value(2),
)


@dataclass(frozen=True)
class Token:
    """Which rows a page shows: of the wave `number`, from 0, the first `most`, read after the run had `revision`."""

    number: int
    most: int
    revision: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}.{self.most}.{self.revision}.{self.digest}"


def tokens(texts: Iterable[str]) -> list[Token]:
    """The tokens that a page sends; what is not of our making is left out."""
    found = [TOKEN.fullmatch(each) for each in texts]
    return [Token(int(each[1]), _bounded(int(each[2])), int(each[3]), each[4]) for each in found if each]


def _bounded(most: int) -> int:
    return min(max(most, MOST), ASKED_AT_MOST)


class ServerRows:
    """The first rows of a wave, what failed before the others. The run's `revision` was read before them: what they
    show may be newer, never older."""

    def __init__(
        self, wave: WaveCard, revision: int, most: int | None = None, *, read: Iterable[Row] | None = None
    ) -> None:
        """`read` are the rows of a wave that has no more than `most`, if somebody has them."""
        self.wave = wave
        self.most = _bounded(most or MOST)
        # Beside its own columns a row shows these of its wave.
        run, jobs = wave.run.execution, wave.run.jobs.all()
        self._why = {job.pk: why_not_launched(run, wave.run, job) for job in jobs}
        why = tuple(sorted((str(key), each) for key, each in self._why.items() if each))
        shared = (wave.is_dry_run, wave.is_steerable, wave.run.started_at, wave.run.ended_at, why)
        if read is not None:
            found = [_Digested.of(row, shared) for row in read]
        else:
            found = KNOWN.rows(wave.run.pk, self.most, shared)
        self._rows = {each.row[0]: each.row for each in found}
        self._digests = {each.row[0]: each.digest for each in found}
        digest = _digest(wave.run.pk, self.most, wave.total, *self._digests.items())
        self.token = Token(wave.run.number, self.most, revision, digest)

    @property
    def servers(self) -> list[ServerRun]:
        return [self._server(row) for row in self._rows.values()]

    @property
    def more(self) -> int:
        """How many follow."""
        return max(0, self.wave.total - len(self._rows))

    @property
    def next_most(self) -> int:
        return self.most + MOST

    def shown(self) -> "ServerRows":
        """Remember what the token stands for, for the polls of the page that is sent it."""
        cache.set(f"rows-{self.token.digest}", self._digests, KEPT_SECONDS)
        return self

    def changed(self, known: Mapping[int, str]) -> list[ServerRun] | None:
        """The servers that are others than a page knows; None if it has to be sent all, as another comes first now."""
        if list(known) != list(self._digests):
            return None
        return [self._server(self._rows[pk]) for pk, digest in self._digests.items() if known[pk] != digest]

    def _server(self, row: Row) -> ServerRun:
        server = ServerRun.from_db(None, COLUMNS, row)
        if not server.state.is_settled and (why := self._why.get(server.job_id)):
            server.is_never_launched = True
            server.never_sent = "" if why_skipped(self.wave.run.execution, self.wave.run) else why
        return server


class _Digested(NamedTuple):
    """A row, and the digest of all that it shows."""

    row: Row
    digest: str

    @classmethod
    def of(cls, row: Row, shared: Row) -> "_Digested":
        return cls(row, _digest(row, shared))


class KnownRows:
    """The rows of waves as this process read them last. Each time all are asked for, and what the database gives is
    compared as it comes; only what is another is read into Python's values, and digested."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._waves: dict[tuple[int, int], tuple[Row, dict[int, tuple[Row, _Digested]]]] = {}

    def rows(self, wave: int, most: int, shared: Row) -> list[_Digested]:
        given, read = _first(most).unread(wave=wave)
        before, known = self._waves.get((wave, most), (None, {}))
        if before != shared:
            known = {}
        now = dict[int, tuple[Row, _Digested]]()
        for each in given:
            same = known.get(each[ID])
            now[each[ID]] = same if same and same[0] == each else (each, _Digested.of(read(each), shared))
        self._keep((wave, most), shared, now)
        return [digested for _, digested in now.values()]

    def _keep(self, key: tuple[int, int], shared: Row, now: dict[int, tuple[Row, _Digested]]) -> None:
        """Of several threads one wins; what each has is right."""
        with self._lock:
            self._waves.pop(key, None)
            if sum(len(rows) for _, rows in self._waves.values()) + len(now) > self._most:
                self._waves = {}
            if len(now) <= self._most:
                self._waves[key] = shared, now


KNOWN = KnownRows(most=5_000)


def rows_since(wave: WaveCard, revision: int, seen: Token) -> str:
    """What a page that shows `seen` is sent of that wave: the rows that changed, or all if nobody knows any more which
    it has; and what it has then."""
    if wave.run.revision <= seen.revision:
        return _told(replace(seen, revision=revision), seen)
    rows = ServerRows(wave, revision, seen.most).shown()
    changed = rows.changed(cache.get(f"rows-{seen.digest}") or {})
    if changed is None:
        return render_to_string("executions/_servers.html", {"wave": wave, "rows": rows, "is_poll": True})
    context = {"wave": wave, "beside": rows.token}
    parts = [render_to_string("executions/_server.html", {**context, "server": each}) for each in changed]
    return "".join([_told(rows.token, seen), *(["<template>", *parts, "</template>"] if parts else [])])


def _told(token: Token, before: Token) -> str:
    return render_to_string("executions/_known.html", {"token": token, "before": before})


def _rows(**of: Any) -> QuerySet[ServerRun, Row]:
    return ServerRun.objects.filter(**of).order_by(EXCEPTIONS_FIRST, "position").values_list(*COLUMNS)


@lru_cache(maxsize=16)
def _first(most: int) -> Prepared[ServerRun]:
    """So many rows of one wave: as many as a page shows, or somebody has asked for."""
    return Prepared(lambda: _rows(wave=Asked(ServerRun, "wave"))[:most])


def _digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def rows_at_first(live: Live, wanted: int | None, most: int | None) -> list[tuple[WaveCard, ServerRows | None]]:
    """The waves of a page, with the rows that it has from the beginning: of the wave that somebody `wanted`, then of
    the current one, then of others, as long as there are few. The rest comes when somebody sees its wave."""
    left, few = ROWS_AT_FIRST, list[WaveCard]()
    others = [wave for wave in live.waves if wave.run.number != wanted]
    for wave in sorted(others, key=lambda each: each is not live.current):
        if wave.total <= left:
            left -= wave.total
            few.append(wave)
    by_wave: dict[int, list[Row]] = {wave.run.pk: [] for wave in few}
    for row in _rows(wave__in=list(by_wave)):
        by_wave[row[WAVE]].append(row)
    revision = live.execution.revision
    found = {wave.run.number: ServerRows(wave, revision, read=by_wave[wave.run.pk]).shown() for wave in few}
    for wave in live.waves:
        if wave.run.number == wanted:
            found[wanted] = ServerRows(wave, revision, most).shown()
    return [(wave, found.get(wave.run.number)) for wave in live.waves]
