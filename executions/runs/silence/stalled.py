"""Runs about which neither a fact nor a decision came for three polls: they say so, and a person may give them up.

DRS may be silent, or answer and not show the job (deleted, or past its retention). Nothing is concluded from it.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Case, DateTimeField, Exists, F, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from contract.clock import unix
from contract.storage.prepared import Asked, Prepared
from executions.models import Execution, LaunchJob, ServerRun
from executions.runs.journal import note
from executions.runs.silence.unresponsive_regions import OPEN_SERVERS, stalled_before
from executions.states import WAVE_BEGUN, JobStatus


def mark_stalled(now: datetime, *, was_asked: bool) -> None:
    """Bring `stalled_since` of every active run up to date. One query where nothing has changed. Where AWS
    was not asked for three polls, no run begins to be stalled."""
    oldest = stalled_before(now)
    for execution in _SILENT.objects(failing_since=oldest):
        told = (execution.failing_since, execution.heard)  # type: ignore[attr-defined]
        silent = [each for each in told if each is not None and each < oldest]
        since = min(silent, default=None)
        if (since is None) != (execution.stalled_since is None) and (was_asked or since is None):
            _mark(execution, since)


def _heard_of() -> Subquery:
    """When DRS last told of the launch, of those that a run waits for, of which it has told least lately."""
    open_servers = ServerRun.objects.filter(job=OuterRef("pk"), launch_status__in=OPEN_SERVERS)
    unlisted = Q(status=JobStatus.COMPLETED, instances_seen_at=None) & Exists(open_servers)
    jobs = LaunchJob.objects.filter(wave__execution=OuterRef("pk"), wave__status__in=WAVE_BEGUN)
    waited_for = jobs.filter(Q(status__in=[JobStatus.PENDING, JobStatus.STARTED]) | unlisted)
    heard = Case(
        When(status=JobStatus.COMPLETED, then="completed_seen_at"),
        default=Coalesce("seen_at", "recorded_at", "created_at"),
        output_field=DateTimeField(),
    )
    return Subquery(waited_for.order_by().values("wave__execution").annotate(heard=Min(heard)).values("heard"))


def _silent() -> QuerySet[Execution]:
    """Active runs that are stalled, or of which nothing was heard since."""
    oldest = Asked(Execution, "failing_since")
    rows = Execution.objects.active().annotate(heard=_heard_of())
    rows = rows.filter(Q(stalled_since__isnull=False) | Q(failing_since__lt=oldest) | Q(heard__lt=oldest)).order_by()
    return rows.only("stalled_since", "failing_since", "plan_name", "status", "kind")


_SILENT = Prepared(_silent)


def _mark(execution: Execution, since: datetime | None) -> None:
    with transaction.atomic():
        mine = Execution.objects.active().filter(pk=execution.pk, stalled_since=execution.stalled_since)
        if not mine.update(stalled_since=since, revision=F("revision") + 1):
            return
        if since is not None:
            note(execution, "execution.stalled", since=unix(since))
        else:
            note(execution, "execution.heard_of", since=unix(execution.stalled_since))
