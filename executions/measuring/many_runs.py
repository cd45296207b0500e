"""The figures of many runs at once, in a fixed number of queries: those of each run's report. Rows in, figures out."""

import uuid
from collections import defaultdict
from collections.abc import Collection

from django.db.models import Q

from executions.measuring.rta_rpa import Attempt, Measured, WaveRows, measure
from executions.models import Execution, LaunchJob, ServerRun, WaveRun

HEAVY = ("plan_copy", "forecast", "phase_times", "rehearsal", "left_out")


def figures_of(runs: Collection[Execution]) -> dict[uuid.UUID, Measured]:
    """What each of these achieved, with the attempts before it. Where its time went is not asked: no log is read."""
    tried = _attempts(runs)
    rows = _rows({run.pk for run in runs} | {each.pk for of in tried.values() for each in of})
    found = {}
    for run in runs:
        earlier = tried[run.first_attempt_id] if run.first_attempt_id else []
        before = [Attempt(each, rows[each.pk]) for each in earlier if each.attempt < run.attempt]
        found[run.pk] = measure(run, rows[run.pk], before)
    return found


def _attempts(runs: Collection[Execution]) -> dict[uuid.UUID, list[Execution]]:
    """All attempts, by the first one; of runs that retry no other none. One query, if any does."""
    firsts = {run.first_attempt_id for run in runs if run.first_attempt_id}
    found: dict[uuid.UUID, list[Execution]] = defaultdict(list)
    if firsts:
        every = Execution.objects.filter(Q(pk__in=firsts) | Q(first_attempt_id__in=firsts))
        for each in every.defer(*HEAVY).order_by("attempt"):
            found[each.first_attempt_id or each.pk].append(each)
    return found


def _rows(runs: Collection[uuid.UUID]) -> dict[uuid.UUID, list[WaveRows]]:
    """What `measure` needs of these runs, without the log."""
    waves: dict[uuid.UUID, list[WaveRows]] = defaultdict(list)
    servers: dict[int, list[ServerRun]] = defaultdict(list)
    jobs: dict[int, list[LaunchJob]] = defaultdict(list)
    for server in ServerRun.objects.filter(wave__execution__in=runs).defer("findings").order_by("wave_id", "position"):
        servers[server.wave_id].append(server)
    for job in LaunchJob.objects.filter(wave__execution__in=runs):
        jobs[job.wave_id].append(job)
    for wave in WaveRun.objects.filter(execution__in=runs).order_by("execution_id", "number"):
        waves[wave.execution_id].append(WaveRows(wave, servers[wave.pk], jobs[wave.pk]))
    return waves
