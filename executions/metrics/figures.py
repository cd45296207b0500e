"""The figures by which one tells whether the product is well. All come from the database, so that every process of
every host says the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from executions import queue
from executions.models import Execution, Installation, LaunchJob, Pacemaker, WaveRun
from executions.states import FELL_SHORT, ExecutionStatus, WaveStatus
from notify.models import Delivery
from protection.inventory.source_servers import Place
from protection.models import RegionInventory

MOST_WAVES = 100  # as many values as CloudWatch takes of one figure in one line


@dataclass(frozen=True)
class Figures:
    """Ages, lags and durations in seconds. `heartbeat_age` is None while no engine has ever run, `queued_tasks` while
    the broker does not say. Durations and latencies are of waves that ended since the time asked for."""

    by_status: Mapping[ExecutionStatus, int]
    failed: int
    heartbeat_age: float | None
    pause_waiting: float
    poll_lag: float
    stalled: int
    due: int
    queued_tasks: int | None
    notifications: int
    notification_age: float
    wave_durations: list[float] = field(default_factory=list)
    launch_latencies: list[float] = field(default_factory=list)
    inventory_ages: Mapping[Place, float] = field(default_factory=dict)
    superseded: bool = False
    bundle_age: float | None = None  # None where none is wanted, or was ever written


def read(now: datetime, since: datetime) -> Figures:
    """All figures, in a fixed number of queries. What is counted is counted since then."""
    durations, latencies = _waves(since)
    notifications = Delivery.objects.filter(next_try_at__isnull=False).aggregate(n=Count("pk"), at=Min("created_at"))
    ours = Installation.objects.filter(pk=1).values_list("superseded_by", "bundled_at").first() or ("", None)
    due = Execution.objects.filter(next_step_at__lte=now).aggregate(n=Count("pk"), at=Min("next_step_at"))
    return Figures(
        by_status=_by_status(),
        failed=_failed(since, now),
        heartbeat_age=heartbeat_age(now),
        pause_waiting=_age(now, _paused_since()),
        poll_lag=max(_age(now, due["at"]), _age(now, _heard_of()) - settings.POLL_SECONDS, 0.0),
        stalled=Execution.objects.active().filter(stalled_since__isnull=False).count(),
        due=due["n"],
        queued_tasks=queue.queued(),
        notifications=notifications["n"],
        notification_age=_age(now, notifications["at"]),
        wave_durations=durations,
        launch_latencies=latencies,
        inventory_ages=inventory_ages(now),
        superseded=bool(ours[0]),
        bundle_age=_age(now, ours[1]) if settings.BUNDLE and ours[1] else None,
    )


def heartbeat_age(now: datetime) -> float | None:
    """How long ago an engine sent a heartbeat."""
    beat_at = Pacemaker.objects.filter(pk=1).values_list("beat_at", flat=True).first()
    return None if beat_at is None else _age(now, beat_at)


def inventory_ages(now: datetime) -> dict[Place, float]:
    """How old what we know of the servers of each account's region is."""
    rows = RegionInventory.objects.exclude(as_of=None).values_list("way", "region", "as_of")
    return {(way, region): _age(now, as_of) for way, region, as_of in rows}


def _age(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else max((now - then).total_seconds(), 0.0)


def _by_status() -> dict[ExecutionStatus, int]:
    rows = Execution.objects.order_by().values("status").annotate(n=Count("pk"))
    found = {row["status"]: row["n"] for row in rows}
    return {each: found.get(each.value, 0) for each in ExecutionStatus}


def _failed(since: datetime, until: datetime) -> int:
    """Found by when they ended: there are few; by status, the whole history would be read."""
    ended = Execution.objects.filter(ended_at__gt=since, ended_at__lte=until)
    count: int = ended.aggregate(n=Count("pk", filter=Q(status__in=FELL_SHORT)))["n"]
    return count


def _paused_since() -> datetime | None:
    """Since when the run that waits longest has waited for a person."""
    paused = Execution.objects.filter(status=ExecutionStatus.PAUSED)
    at: datetime | None = paused.aggregate(
        at=Min("waves__paused_at", filter=Q(waves__status=WaveStatus.PAUSED)),
    )["at"]
    return at


def _heard_of() -> datetime | None:
    """When DRS last told us of the job of a run under way that we have heard of least lately."""
    watched = LaunchJob.objects.filter(watched=True, wave__execution__ended_at=None)
    at: datetime | None = watched.aggregate(at=Min(Coalesce("seen_at", "created_at", "intent_at")))["at"]
    return at


def _waves(since: datetime) -> tuple[list[float], list[float]]:
    """Of the waves that ended since: how long they took, and how long it was from when each could begin (the start, the
    end of the wave before, or the resume) until DRS had made its job."""
    before = WaveRun.objects.filter(execution=OuterRef("execution"), number=OuterRef("number") - 1)
    ended = WaveRun.objects.filter(ended_at__gt=since, started_at__isnull=False).annotate(
        before_at=Subquery(before.values("ended_at")[:1]), made_at=Min("jobs__created_at")
    )
    rows = ended.order_by("-ended_at").values_list(
        "started_at", "ended_at", "made_at", "resumed_at", "before_at", "execution__started_at"
    )
    durations, latencies = [], []
    for started_at, ended_at, made_at, *ready in rows[:MOST_WAVES]:
        if ended_at is not None:  # as the filter says
            durations.append(_age(ended_at, started_at))
        if made_at is not None:
            latencies.append(min(_age(made_at, each) for each in ready if each is not None))
    return durations, latencies


def mean(values: Iterable[float]) -> float:
    """The mean, 0 of nothing."""
    known = list(values)
    return sum(known) / len(known) if known else 0.0


LAST_HOUR = timedelta(hours=1)
