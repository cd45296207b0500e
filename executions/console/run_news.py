"""What the console tells in the browser's own notifications: runs that wait for a person, and runs that have ended."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict, assert_never

from django.db.models import BooleanField, F, IntegerField, OuterRef, Subquery, Value
from django.db.models.lookups import GreaterThan
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.request_actor import actor_for
from contract.clock import db_clock
from contract.names import visible
from contract.rights import Reach
from executions.models import Execution, WaveRun
from executions.states import ExecutionStatus, Kind, WaveStatus

OVERLAP = timedelta(seconds=30)  # what was told may have been committed after something that is newer
OLDEST = timedelta(hours=1)  # an end that is older is no news to who opens the console in the morning
MOST = 20


class News(TypedDict):
    """One notification. `key` is the same for the same news, whoever asks."""

    key: str
    title: str
    body: str
    url: str


class _Row(NamedTuple):
    pk: Any
    number: int | None
    plan_name: str
    kind: str
    dry_run: bool
    status: str
    at: datetime
    wave: int | None
    wave_failed: bool


@require_safe
def run_news(request: HttpRequest) -> HttpResponse:
    """What is new since `since`, a time that an earlier answer gave, but for the keys in `told`; 204 for nothing, and
    without a time only the time itself. One query."""
    since = _time(request.GET.get("since"))
    if since is None:
        return JsonResponse({"since": db_clock().isoformat(), "news": []})
    told = set(request.GET.getlist("told"))
    found = [row for row in _since(actor_for(request).sees, since - OVERLAP) if _key(row) not in told]
    if not found:
        return HttpResponse(status=204)
    newest = max(since, *(row.at for row in found))
    return JsonResponse({"since": newest.isoformat(), "news": [_news(row) for row in found]})


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo and 1970 < found.year < 9000 else None


def _since(sees: Reach, since: datetime) -> Iterator[_Row]:
    """The oldest first; each half finds its index."""
    seen = Execution.objects.seen_by(sees).order_by()
    ended = seen.final().filter(ended_at__gt=max(since, timezone.now() - OLDEST))
    ended = ended.annotate(at=F("ended_at"), wave=Value(None, IntegerField()), wave_failed=_flag(False))
    waves = WaveRun.objects.filter(execution=OuterRef("pk")).order_by()
    questions = (  # when the run began to wait, at which wave, and whether it had failed
        (waves.filter(status=WaveStatus.PAUSED), "paused_at", False),
        (waves.filter(asked_at__isnull=False, answered_at=None), "asked_at", True),
    )
    waiting = seen.active().filter(status=ExecutionStatus.PAUSED)
    halves = [
        waiting.filter(GreaterThan(moment, since)).annotate(
            at=moment, wave=Subquery(of.values("number")[:1]), wave_failed=_flag(failed)
        )
        for of, at, failed in questions
        for moment in (Subquery(of.values(at)[:1]),)
    ]
    names: list[str] = list(_Row._fields)
    rows = [each.values_list(*names) for each in (ended, *halves)]
    found = rows[0].union(*rows[1:], all=True).order_by("at")  # type: ignore[misc]  # a column of the union
    return map(_Row._make, found[:MOST])


def _flag(value: bool) -> Value:
    return Value(value, BooleanField())


def _key(row: _Row) -> str:
    return f"{row.pk}.{row.status}.{row.at.timestamp():.0f}"


def _news(row: _Row) -> News:
    kind = "Dry run" if row.dry_run else Kind.of(row.kind).label
    what, body = _words(row)
    title = f"{kind} of {visible(row.plan_name)} {what}"
    called = f"Run {row.number}. " if row.number else ""
    return News(key=_key(row), title=title, body=f"{called}{body}".strip(), url=reverse("execution", args=[row.pk]))


def _words(row: _Row) -> tuple[str, str]:
    """What it does, and what that asks of whoever reads it."""
    number = (row.wave or 0) + 1
    match ExecutionStatus.of(row.status):
        case ExecutionStatus.PAUSED if row.wave_failed:
            return "waits for a decision", f"Wave {number} failed: retry it, go on without it, or cancel."
        case ExecutionStatus.PAUSED:
            return "waits", f"Before wave {number}, until somebody lets it go on."
        case ExecutionStatus.COMPLETED:
            return "is complete", ""
        case ExecutionStatus.PARTIAL:
            return "ended in part", "Some servers are not up."
        case ExecutionStatus.FAILED:
            return "failed", "See the causes."
        case ExecutionStatus.CANCELLED:
            return "was cancelled", ""
        case (
            ExecutionStatus.PENDING
            | ExecutionStatus.RUNNING
            | ExecutionStatus.POLLING
            | ExecutionStatus.LAUNCHING
            | ExecutionStatus.CANCELLING
        ):
            return "goes on", ""
        case other:
            assert_never(other)
