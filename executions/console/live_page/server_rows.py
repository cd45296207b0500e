"""The servers of a wave as rows, the first of many, and which of them a page has not seen.

A page has the rows of a wave once somebody sees that wave, and says with each poll which it has: by a token, of which
the digest covers all that its rows were made of. What the digest stands for is kept for a while, row by row; so a row
is sent again when, and only when, something that it shows is another. Where that is not known any more, all are sent.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from django.core.cache import cache
from django.db.models import Case, Q, QuerySet, Value, When
from django.template.loader import render_to_string

from executions.console.live_page.page_content import Live, WaveCard
from executions.models import ServerRun
from executions.states import LaunchStatus

MOST = 100  # rows of a wave that are shown at once; somebody may ask for as many again
ROWS_AT_FIRST = 50  # of all waves of a page
ASKED_AT_MOST = 100_000
KEPT_SECONDS = 3600
COLUMNS = ["id", *(each.attname for each in ServerRun._meta.concrete_fields if not each.primary_key)]
WAVE = COLUMNS.index("wave_id")
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
        found: Iterable[Row] = _rows([wave])[: self.most] if read is None else read
        self._rows = {row[0]: row for row in found}
        # Beside its own columns a row shows these of its wave.
        shared = (wave.is_dry_run, wave.is_steerable, wave.run.started_at, wave.run.ended_at)
        self._digests = {pk: _digest(row, shared) for pk, row in self._rows.items()}
        digest = _digest(wave.run.pk, self.most, wave.total, *self._digests.items())
        self.token = Token(wave.run.number, self.most, revision, digest)

    @property
    def servers(self) -> list[ServerRun]:
        return [_server(row) for row in self._rows.values()]

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
        return [_server(self._rows[pk]) for pk, digest in self._digests.items() if known[pk] != digest]


def rows_since(wave: WaveCard, revision: int, seen: Token) -> str:
    """What a page that shows `seen` is sent of that wave: the rows that changed, or all if nobody knows any more which
    it has; and what it has then."""
    if wave.run.revision <= seen.revision:
        return _told(replace(seen, revision=revision), seen)
    rows = ServerRows(wave, revision, seen.most).shown()
    changed = rows.changed(cache.get(f"rows-{seen.digest}") or {})
    context = {"wave": wave, "is_poll": True}
    if changed is None:
        return render_to_string("executions/_servers.html", {**context, "rows": rows})
    parts = [render_to_string("executions/_server.html", {**context, "server": each}) for each in changed]
    return "".join([_told(rows.token, seen), *(["<template>", *parts, "</template>"] if parts else [])])


def _told(token: Token, before: Token) -> str:
    return render_to_string("executions/_known.html", {"token": token, "before": before})


def _rows(waves: Iterable[WaveCard]) -> QuerySet[ServerRun, Row]:
    keys = [wave.run.pk for wave in waves]
    return ServerRun.objects.filter(wave__in=keys).order_by(EXCEPTIONS_FIRST, "position").values_list(*COLUMNS)


def _server(row: Row) -> ServerRun:
    return ServerRun.from_db(None, COLUMNS, row)


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
    for row in _rows(few):
        by_wave[row[WAVE]].append(row)
    revision = live.execution.revision
    found = {wave.run.number: ServerRows(wave, revision, read=by_wave[wave.run.pk]).shown() for wave in few}
    for wave in live.waves:
        if wave.run.number == wanted:
            found[wanted] = ServerRows(wave, revision, most).shown()
    return [(wave, found.get(wave.run.number)) for wave in live.waves]
