"""The last launches that prove that servers and plans come up, and what was achieved then. Rows in, figures out.

A launch proves a server when the server came up as its wave asked, in a drill or a recovery; what was terminated later
has come up all the same. A run proves its plan when it completed with every server. Figures are those of the report,
held against the targets that the plan has now.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, OuterRef, QuerySet, Subquery

from contract.chunks import chunks
from contract.clock import unix
from executions.measuring.data_time import lag_of, point_of
from executions.measuring.many_runs import HEAVY, figures_of
from executions.measuring.rta_rpa import Measured, Verdict, judged
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import CAME_UP, ExecutionStatus
from plans.models import RecoveryPlan, WaveServer


@dataclass(frozen=True)
class Launch:
    """A server's last launch that proves it. `rta` and `rpa` are the server's own, against the plan's targets."""

    row: ServerRun
    rta: Verdict
    rpa: Verdict

    @property
    def run(self) -> Execution:
        return self.row.wave.execution


@dataclass(frozen=True)
class Last:
    """The row of a server's last proven launch, and when it came up: nothing else is read of it."""

    row: int
    at: datetime


def last_launches(servers: "QuerySet[WaveServer]") -> dict[str, Last]:
    """The last proven launch of each of these servers that has one, whichever plan's run it was."""
    came_up = ServerRun.objects.filter(
        source_server_id=OuterRef("assignment_id"),
        launch_status__in=CAME_UP,
        launched_at__isnull=False,
        wave__execution__dry_run=False,
    )
    newest = came_up.order_by("-launched_at", "-pk").values("pk")[:1]
    last = servers.order_by().annotate(newest=Subquery(newest), server=F("assignment_id"))
    found = {str(server): pk for server, pk in last.values_list("server", "newest") if pk is not None}
    times = dict[int, datetime]()
    for some in chunks(list(found.values())):
        rows = ServerRun.objects.filter(pk__in=some, job__isnull=False).values_list("pk", "launched_at")
        times |= {pk: at for pk, at in rows if at}
    return {server: Last(pk, times[pk]) for server, pk in found.items() if pk in times}


def rows_of(launches: Mapping[str, Last]) -> dict[str, ServerRun]:
    """These launches with their waves, runs and jobs, by server."""
    kept = ServerRun.objects.defer("findings").in_bulk([each.row for each in launches.values()])
    whole = _with_their_runs(kept.values())
    return {server: kept[each.row] for server, each in launches.items() if each.row in whole}


def _with_their_runs(rows: Collection[ServerRun]) -> set[int]:
    """Gives servers their waves, runs and jobs, each read once however many servers it has; answers whose are there."""
    jobs = LaunchJob.objects.in_bulk({each.job_id for each in rows})
    waves = WaveRun.objects.in_bulk({each.wave_id for each in rows})
    runs = Execution.objects.defer(*HEAVY).in_bulk({each.execution_id for each in waves.values()})
    there = {pk: wave for pk, wave in waves.items() if wave.execution_id in runs}
    for wave in there.values():
        wave.execution = runs[wave.execution_id]
    whole = [each for each in rows if each.wave_id in there and each.job_id in jobs]
    for each in whole:
        each.wave, each.job = there[each.wave_id], jobs[each.job_id]
    return {each.pk for each in whole}


def launch_for(row: ServerRun, plan: RecoveryPlan) -> Launch:
    """A launch against the targets of a plan."""
    run = row.wave.execution
    start, up = unix(run.measured_from), unix(row.launched_at)
    point = point_of(row)
    data = None if point is None else point - timedelta(seconds=lag_of(row, row.job))
    later = run.outage_at is not None and data is not None and unix(data) > unix(run.outage_at)
    rpa = None if data is None or later else max(0, start - unix(data))
    return Launch(
        row,
        judged(None if up is None else max(0, up - start), plan.rto_minutes),
        judged(rpa, plan.rpo_minutes),
    )


def runs_of(plans: Mapping[uuid.UUID, RecoveryPlan]) -> dict[uuid.UUID, tuple[Execution, Measured]]:
    """The last run that proves each of these plans, with its figures: those of all its attempts together."""
    found = _last_complete(plans)
    runs = Execution.objects.defer(*HEAVY).in_bulk([pk for pk in found.values() if pk is not None])
    proven = {plan_id: runs[run_id] for plan_id, run_id in found.items() if run_id is not None}
    for plan_id, run in proven.items():
        plan = plans[plan_id]
        run.rto_minutes, run.rpo_minutes = plan.rto_minutes, plan.rpo_minutes  # in memory: as if it were run today
    figures = figures_of(proven.values())
    return {plan_id: (run, figures[run.pk]) for plan_id, run in proven.items()}


def completed_at(plans: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """When the last run ended that proves each of these plans that has one."""
    last = {plan: run for plan, run in _last_complete(plans).items() if run is not None}
    ends = dict(Execution.objects.filter(pk__in=list(last.values())).order_by().values_list("pk", "ended_at"))
    return {plan: at for plan, run in last.items() if (at := ends.get(run))}


def _last_complete(plans: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID | None]:
    complete = Execution.objects.filter(
        plan=OuterRef("pk"), status=ExecutionStatus.COMPLETED, dry_run=False, servers_left_out=0
    )
    newest = complete.order_by("-started_at", "-id").values("pk")[:1]
    return dict(RecoveryPlan.objects.filter(pk__in=list(plans)).order_by().values_list("pk", Subquery(newest)))


@dataclass(frozen=True)
class Achieved:
    """The figures of the last run that proves a plan."""

    run: uuid.UUID
    rta: Verdict
    rpa: Verdict


# By run, its revision and the plan's targets: while these are the same, so are the figures.
_KEPT: dict[tuple[uuid.UUID, int, int | None, int | None], Achieved] = {}
_MOST_KEPT = 2_000


def achieved_of(plans: Mapping[uuid.UUID, RecoveryPlan]) -> dict[uuid.UUID, Achieved]:
    """What each of these plans achieved when it was last proven, for lists: rows of servers are read only of runs that
    this process has not measured yet, or that have changed since."""
    last = {plan: run for plan, run in _last_complete(plans).items() if run is not None}
    revisions = dict(Execution.objects.filter(pk__in=list(last.values())).order_by().values_list("pk", "revision"))
    keys = {
        plan: (run, revisions[run], plans[plan].rto_minutes, plans[plan].rpo_minutes)
        for plan, run in last.items()
        if run in revisions
    }
    unknown = {plan: plans[plan] for plan, key in keys.items() if key not in _KEPT}
    if len(_KEPT) > _MOST_KEPT:
        _KEPT.clear()
    for run, measured in (runs_of(unknown) if unknown else {}).values():
        found = Achieved(run.pk, measured.rto, measured.rpo)
        _KEPT[run.pk, run.revision, run.rto_minutes, run.rpo_minutes] = found
    return {plan: _KEPT[key] for plan, key in keys.items() if key in _KEPT}
