"""What a verdict on a plan rests on, cheap to read and to compare: while it is the same, so is the verdict.

Rows are as the database gives them. Of a time that verdicts compare with the clock stands here what comes of that now;
what grows older in words, or by itself, is never the same.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import Case, IntegerField, QuerySet, Value, When

from accounts.registry import way_of
from contract.chunks import chunks
from contract.storage.prepared import Asked, Prepared
from executions.models import Installation
from executions.readiness.assessment import CURRENT, CUT_OFF, DETAILS_KNOWN_FOR, DRILL_IS_DUE, expiry
from executions.readiness.facts import (
    MEMBER,
    SERVER,
    instances_of,
    known_of,
    last_drills,
    launches_of,
    regions_now,
)
from executions.readiness.following import FOLLOWS, group_drifts
from executions.readiness.native import SAID_FOR
from executions.readiness.terms import RegionFacts
from native_plans.kept import DRIFT
from plans.models import RecoveryPlan, WaveServer
from protection.models import SourceServer

Key = uuid.UUID
_LASTING = [each for each in SERVER if each not in ("lag_seconds", "seen_at", "latest_snapshot_at", "details_as_of")]
_STATE, _INSTANCE = _LASTING.index("replication_state"), _LASTING.index("recovery_instance_id")


@dataclass(frozen=True)
class Grounds:
    """Compared by `told`. After `expires_at` they are too old to be believed."""

    told: tuple[Any, ...]
    expires_at: datetime | None


def grounds(now: datetime, believed_for: timedelta, among: Collection[Key] | None = None) -> dict[Key, Grounds]:
    """Of every plan, or of these: of as many as are weighed in a round."""
    asked = RecoveryPlan.objects.annotate(f=FOLLOWS).values_list("pk", "version", "rpo_minutes", "f", *DRIFT)
    plans = list(asked if among is None else asked.filter(pk__in=among))
    servers, members, drills = _servers(now, among), _members(among), _drills([row[0] for row in plans], now)
    drifts = group_drifts([pk for pk, _, _, follows, *_ in plans if follows])
    superseded = Installation.objects.exclude(superseded_by="").exists()
    read = regions_now()
    regions = {place: _region(each, now, believed_for) for place, each in read.items()}
    raw_key = RecoveryPlan._meta.pk.get_db_prep_value
    found = {}
    for pk, version, rpo_minutes, _, *native in plans:
        mine = members[raw_key(pk, connection)]
        places = {place for place, _ in mine}
        told = (
            (version, rpo_minutes, superseded, _native(version, *native), drifts[pk], drills.get(pk)),
            [(row, place, _server(servers.get(row[0]), rpo_minutes)) for place, row in mine],
            known_of(places, regions),
        )
        found[pk] = Grounds(told, expiry(known_of(places, read).values(), believed_for))
    return found


def _planned(among: Collection[Key] | None) -> QuerySet[WaveServer]:
    return WaveServer.objects.all() if among is None else WaveServer.objects.filter(plan__in=among)


def _members_asked(among: Collection[Key] | None = None) -> QuerySet[WaveServer, Any]:
    return _planned(among).order_by("wave", "position").values_list(*MEMBER)


_MEMBERS = Prepared(_members_asked)


def _members(among: Collection[Key] | None) -> Mapping[Any, list[tuple[tuple[str, str], tuple[Any, ...]]]]:
    """The rows of each plan, by its key as the database gives it, each with its server's place."""
    found: dict[Any, list[Any]] = defaultdict(list)
    asked = _MEMBERS if among is None else Prepared(partial(_members_asked, among))
    rows, _ = asked.unread()
    ways = {account: way_of(account) for account in {row[3] for row in rows}}
    for row in rows:
        found[row[-1]].append(((ways[row[3]], row[2]), row))
    return found


def _servers_asked(among: Collection[Key] | None = None) -> QuerySet[SourceServer, Any]:
    """Servers of plans. Of their details whether they were never read, too long ago, or lately."""
    age = Case(
        When(details_as_of=None, then=Value(0)),
        When(details_as_of__lt=Asked(SourceServer, "details_as_of"), then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    snapshot = Case(When(latest_snapshot_at=None, then=Value(0)), default=Value(1), output_field=IntegerField())
    planned = SourceServer.objects.filter(pk__in=_planned(among).values("assignment__source_server_id"))
    return planned.order_by().values_list(*_LASTING, "lag_seconds", snapshot, age)


_SERVERS = Prepared(_servers_asked)


def _servers(now: datetime, among: Collection[Key] | None) -> dict[str, tuple[Any, ...]]:
    """Their rows, each with what is known of its instance."""
    asked = _SERVERS if among is None else Prepared(partial(_servers_asked, among))
    rows, _ = asked.unread(details_as_of=now - DETAILS_KNOWN_FOR)
    ways = {account: way_of(account) for account in {row[_LASTING.index("account_id")] for row in rows}}
    listed: dict[str, tuple[str, datetime]] = {}
    for some in chunks([row[0] for row in rows if row[_INSTANCE]]):
        seen = SourceServer.objects.filter(pk__in=some).values_list("pk", "recovery_instance_id", "seen_at")
        listed |= {pk: (instance, at) for pk, instance, at in seen}
    kinds, ended = instances_of(listed) if listed else ({}, set())
    return {
        row[0]: (row, kinds.get(row[0], ""), row[0] in ended, ways[row[_LASTING.index("account_id")]]) for row in rows
    }


def _server(known: tuple[Any, ...] | None, rpo_minutes: int | None) -> object:
    """With whether its data is too old, as `data_age` has it; None where nobody knows."""
    if known is None:
        return None
    (*lasting, lag, has_snapshot, details), *more = known
    age: object = None
    if rpo_minutes is not None:
        if lasting[_STATE] in CURRENT and lag is not None:
            age = lag > rpo_minutes * 60
        elif lag is not None or (lasting[_STATE] in CUT_OFF and has_snapshot):
            age = object()
    return lasting, has_snapshot, details, more, age


def _region(known: RegionFacts, now: datetime, believed_for: timedelta) -> RegionFacts:
    """Without times, but for whether they are believed."""
    is_told: Any = known.as_of and (True if now <= known.as_of + believed_for else object())
    has_jobs: Any = known.jobs_as_of is not None and now <= known.jobs_as_of + believed_for
    has_native: Any = known.native_as_of is not None and now <= known.native_as_of + SAID_FOR
    return replace(known, as_of=is_told, jobs_as_of=(known.jobs_as_of is None, has_jobs), native_as_of=has_native)  # type: ignore[arg-type]


def _native(version: int, *drift: Any) -> object:
    """What a copy in DRS is compared with when the plan was changed since is not read here."""
    return drift if not drift[1] or drift[2] == version else object()


def _drills(plans: Collection[Key], now: datetime) -> dict[Key, tuple[Any, ...]]:
    """The last completed drill of each plan, what it launched, and for how many days one is due."""
    rows = last_drills(plans).values_list("plan_id", "pk", "first_attempt_id", "ended_at")
    drills = {plan: (pk, first, now - ended) for plan, pk, first, ended in rows if ended is not None}
    launched: dict[Key, list[tuple[str, str]]] = defaultdict(list)
    for plan, server, digest in launches_of({plan: (pk, first) for plan, (pk, first, _) in drills.items()}):
        launched[plan].append((server, digest))
    return {
        plan: (pk, first, old.days if old > DRILL_IS_DUE else None, launched[plan])
        for plan, (pk, first, old) in drills.items()
    }
