"""Polls DRS for every run that has a job there: one batch an account and region, in threads, none waiting for another.

A batch of due runs is claimed with one UPDATE and one token. Answers are applied as they come in; a region that
does not answer keeps only its own runs waiting. Runs of which nothing is new go back to the grid in one UPDATE.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Coalesce

from contract.clock import Clock, db_clock
from drs.errors import DrsError
from executions import decide as d
from executions import termination, transitions
from executions.engine import advance
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob, WaveRun
from executions.observe import Answer, News, Question, ask, compare
from executions.run import LEASE
from executions.states import STEPPED, WAVE_BEGUN, JobStatus, WaveStatus

log = logging.getLogger(__name__)

THREADS = 16
LOGS_A_POLL = 20  # as many as DRS runs jobs at once in a region
PATIENCE_SECONDS = 0.5  # how long a sweep waits for answers before it goes on

Place = tuple[str, str]  # account, region


@dataclass
class Batch:
    """Runs claimed together, and for each the places that have not answered yet."""

    token: uuid.UUID
    waiting: dict[uuid.UUID, set[Place]] = field(default_factory=lambda: defaultdict(set))
    changed: set[uuid.UUID] = field(default_factory=set)


@dataclass(frozen=True)
class Inquiry:
    """One question under way."""

    batch: Batch
    place: Place
    jobs: list[LaunchJob] = field(default_factory=list)
    terminations: list[TerminationJob] = field(default_factory=list)

    @property
    def executions(self) -> dict[uuid.UUID, Execution]:
        """The runs that wait for the answer."""
        runs = {job.wave.execution_id: job.wave.execution for job in self.jobs}
        return runs | {job.execution_id: job.execution for job in self.terminations}

    @property
    def still_watched(self) -> set[uuid.UUID]:
        """The runs of which DRS may have more news."""
        launching = {job.wave.execution_id for job in self.jobs if job.watched}
        return launching | {job.execution_id for job in self.terminations if job.watched}


class Poller:
    """Lives as long as a beat. Make it after the fork: it owns threads, which only speak HTTP."""

    def __init__(self, clock: Clock = db_clock) -> None:
        self.clock = clock
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="drs")
        self.under_way: dict[Future[Answer], Inquiry] = {}

    def close(self) -> None:
        """Stop without waiting for AWS; whatever was asked becomes due again when its lease ends."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    def start(self, due: Iterable[uuid.UUID], now: datetime) -> None:
        """Claim the due runs that are polled, and ask DRS for their jobs."""
        batch = Batch(uuid.uuid4())
        polled = Execution.objects.filter(pk__in=list(due), next_step_at__lte=now).exclude(status__in=STEPPED)
        if not polled.update(claim=batch.token, next_step_at=now + LEASE):
            return
        for inquiry in _inquiries(batch):
            for execution_id in inquiry.executions:
                batch.waiting[execution_id].add(inquiry.place)
            self.under_way[self.threads.submit(ask, _question(inquiry, now))] = inquiry
        self._nothing_to_ask(batch)

    def _nothing_to_ask(self, batch: Batch) -> None:
        """Runs without a job at DRS: being cancelled before anything arrived there, or over and fully known."""
        for execution in Execution.objects.filter(claim=batch.token).exclude(pk__in=list(batch.waiting)):
            if execution.state.is_final:
                termination.find_unconfirmed(execution, self.clock)
                _rest_for_good(execution, batch.token, self.clock())
            else:
                advance(execution.pk, batch.token, self.clock)

    def collect(self, now: datetime, patience: float = PATIENCE_SECONDS) -> list[uuid.UUID]:
        """Apply the answers that have come; returns the runs that are now ready to launch their next wave."""
        done, _ = wait(self.under_way, timeout=patience) if self.under_way else ((), ())
        ready: list[uuid.UUID] = []
        for future in done:
            inquiry = self.under_way.pop(future)
            answer = future.result()
            if answer.error is not None:
                _note_failure(inquiry, answer.error, now)
            else:
                self._apply(inquiry, answer, now)
                ready += self._conclude(inquiry, now)
        return ready

    def _apply(self, inquiry: Inquiry, answer: Answer, now: datetime) -> None:
        servers: dict[uuid.UUID, list[ServerRun]] = defaultdict(list)
        for server in ServerRun.objects.filter(job__in=inquiry.jobs):
            servers[server.job_id].append(server)
        news: dict[uuid.UUID, list[News]] = defaultdict(list)
        for job in inquiry.jobs:
            told = compare(job, servers[job.pk], answer, now)
            if told is not None and told.changed:
                news[job.wave.execution_id].append(told)
        for ending in inquiry.terminations:
            termination.follow(ending, answer.jobs.get(ending.job_id), now)
        seen = [job.pk for job in inquiry.jobs if job.job_id in answer.jobs]
        LaunchJob.objects.filter(pk__in=seen).update(seen_at=now)
        for execution_id, items in news.items():
            if _write(execution_id, inquiry.batch.token, items, now):
                inquiry.batch.changed.add(execution_id)

    def _conclude(self, inquiry: Inquiry, now: datetime) -> list[uuid.UUID]:
        """Runs of which every place has answered: decide where something changed or is due, else back to the grid."""
        batch = inquiry.batch
        answered = []
        for execution_id in inquiry.executions:
            batch.waiting[execution_id].discard(inquiry.place)
            if not batch.waiting[execution_id]:
                answered.append(execution_id)
        busy = batch.changed.intersection(answered) | _with_more_to_do(inquiry, answered, now)
        runs = inquiry.executions
        finals = {each for each in answered if runs[each].state.is_final}
        over = finals - inquiry.still_watched
        for execution_id in over:
            _rest_for_good(runs[execution_id], batch.token, now)
        quiet = (finals - over) | set(answered) - busy - over
        recovered = any(run.failing_since for run in runs.values())
        _back_to_grid(batch.token, quiet, now, recovered=recovered)
        return [each for each in busy - finals if advance(each, batch.token, self.clock, share=True)]


def _inquiries(batch: Batch) -> Iterable[Inquiry]:
    """What to ask, one inquiry an account and region."""
    by_place: dict[Place, Inquiry] = {}
    launches = LaunchJob.objects.filter(wave__execution__claim=batch.token, watched=True)
    for job in launches.select_related("wave__execution"):
        place = (job.account_id, job.region)
        by_place.setdefault(place, Inquiry(batch, place)).jobs.append(job)
    endings = TerminationJob.objects.filter(execution__claim=batch.token, watched=True)
    for ending in endings.select_related("execution"):
        place = (ending.account_id, ending.region)
        by_place.setdefault(place, Inquiry(batch, place)).terminations.append(ending)
    return by_place.values()


def _question(inquiry: Inquiry, now: datetime) -> Question:
    """Ask for all jobs; read at most 20 logs, in turn where there are more."""
    ids = sorted(job.job_id for job in inquiry.jobs)
    turn = int(now.timestamp() / settings.POLL_SECONDS) * LOGS_A_POLL % max(len(ids), 1)
    logs = (ids[turn:] + ids[:turn])[:LOGS_A_POLL]
    endings = [ending.job_id for ending in inquiry.terminations]
    return Question(*inquiry.place, (*ids, *endings), frozenset(logs))


def _rest_for_good(execution: Execution, token: uuid.UUID, now: datetime) -> None:
    """A run that is over: look again while a termination is unconfirmed, then never."""
    unconfirmed = execution.terminations.filter(status__in=[JobStatus.INITIATED]).exists()
    at = d.grid(now, settings.POLL_SECONDS) if unconfirmed else None
    Execution.objects.filter(pk=execution.pk, claim=token).update(claim=None, next_step_at=at)


def _write(execution_id: uuid.UUID, token: uuid.UUID, items: Sequence[News], now: datetime) -> bool:
    """Save what is new of one run, if the claim still stands."""
    with transaction.atomic():
        held = Execution.objects.filter(pk=execution_id, claim=token)
        if not held.update(next_step_at=now + LEASE, failures=0, failing_since=None, aws_error=""):
            return False
        waves: dict[int, WaveRun] = {}
        for each in items:
            each.write()
            waves[each.job.wave_id] = each.job.wave
        moving = [each.job.wave_id for each in items if each.job.state is not JobStatus.PENDING]
        WaveRun.objects.filter(pk__in=moving, status=WaveStatus.POLLING).update(status=WaveStatus.LAUNCHING)
        transitions.touch(items[0].job.wave.execution, now, waves.values())
    return True


def _with_more_to_do(inquiry: Inquiry, executions: Sequence[uuid.UUID], now: datetime) -> set[uuid.UUID]:
    """Runs that need a decision although DRS told nothing new: late, unsent, unconfirmed or unsettled launches."""
    late = {
        job.wave.execution_id
        for job in inquiry.jobs
        if job.state is JobStatus.COMPLETED or (job.wave.deadline_at is not None and job.wave.deadline_at < now)
    }
    unsent = WaveRun.objects.filter(
        execution__in=executions, status__in=WAVE_BEGUN, jobs__status__in=[JobStatus.QUEUED, JobStatus.INITIATED]
    )
    return late.intersection(executions) | set(unsent.values_list("execution_id", flat=True))


def _back_to_grid(token: uuid.UUID, executions: Iterable[uuid.UUID], now: datetime, *, recovered: bool) -> None:
    ids = list(executions)
    if ids and recovered:
        failing = Execution.objects.filter(pk__in=ids, claim=token, failing_since__isnull=False)
        failing.update(failures=0, failing_since=None, aws_error="", revision=F("revision") + 1)
    if ids:
        slot = d.grid(now, settings.POLL_SECONDS)
        Execution.objects.filter(pk__in=ids, claim=token).update(claim=None, next_step_at=slot)


def _note_failure(inquiry: Inquiry, error: DrsError, now: datetime) -> None:
    """DRS did not answer: say so on the runs, and leave it alone for a while. Nothing is concluded from it."""
    held = Execution.objects.filter(pk__in=list(inquiry.executions), claim=inquiry.batch.token)
    failures = held.aggregate(most=Max("failures"))["most"] or 0
    log.warning("polling %s failed: %s", inquiry.place, error)
    held.update(
        claim=None,
        next_step_at=now + d.backoff(failures, settings.POLL_SECONDS),
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", now),
        aws_error=str(error),
        revision=F("revision") + 1,
        updated_at=now,
    )
