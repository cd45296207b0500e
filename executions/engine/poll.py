"""Polls DRS for every run that has a job there: one errand an account and region, none waiting for another.

A batch of due runs is claimed with one UPDATE and one token. Answers are applied as they come in; a region that
does not answer keeps only its own runs waiting. Runs of which nothing is new go back to the grid in one UPDATE. Logs
and instances are read after that, when no run waits for them.
"""

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Coalesce

from audit.safe_text import storable
from contract import log_context
from contract.clock import Clock, db_clock
from contract.database_errors import is_outage
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED
from executions.engine import save_answers
from executions.engine.advance import advance
from executions.launching import launch
from executions.measuring.forecast import is_foretold, is_stale
from executions.models import Execution, LaunchJob, TerminationJob
from executions.observing.drs_answers import Answer, News, Question, ask, read_on
from executions.observing.open_servers import open_servers, say_unlisted
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.aws_calls import Crew, Errand
from executions.runs.claim import LEASE, UNREAD, Run, uncounted
from executions.runs.unresponsive_regions import UNKEPT
from executions.states import STEPPED, WAVE_BEGUN, WAVE_FINAL, JobStatus
from executions.terminating import follow_up

log = logging.getLogger(__name__)

FORECASTS_A_POLL = 5  # made anew because they are stale or a log has grown; the others wait for the next poll
RUNS_A_TRANSACTION = 25  # whose log lines are written together
LOGS_A_POLL = 20  # as many as DRS runs jobs at once in a region

Place = tuple[str, str]  # account, region
Told = list[tuple[uuid.UUID, list[News]]]


@dataclass
class Batch:
    """Runs claimed together: the places that have not answered yet, and what those that have said."""

    token: uuid.UUID
    waiting: dict[uuid.UUID, set[Place]] = field(default_factory=lambda: defaultdict(set))
    changed: set[uuid.UUID] = field(default_factory=set)
    answered: set[uuid.UUID] = field(default_factory=set)
    failed: set[uuid.UUID] = field(default_factory=set)
    unkept: set[uuid.UUID] = field(default_factory=set)  # of which something told cannot be written down


@dataclass(frozen=True)
class Inquiry:
    """One question under way."""

    batch: Batch
    place: Place
    asked_at: datetime
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


@dataclass(frozen=True)
class Ways:
    """Where runs go that no place keeps waiting: each of them one way."""

    silent: set[uuid.UUID]  # no place answered
    unkept: set[uuid.UUID]  # what was told cannot be written down
    over: set[uuid.UUID]  # and DRS has no more news of them
    busy: set[uuid.UUID]  # something is to be decided, or foretold anew
    resting: set[uuid.UUID]


class Poller:
    """Lives as long as a sweep. `ready` are runs that may launch their next wave, for whoever comes first."""

    def __init__(self, crew: Crew, clock: Clock = db_clock) -> None:
        self.crew = crew
        self.clock = clock
        self.ready: list[uuid.UUID] = []
        self.reading: set[Place] = set()  # whose logs are being read

    def start(self, due: Iterable[uuid.UUID], now: datetime) -> None:
        """Claim the due runs that are polled, and ask DRS for their jobs."""
        batch = Batch(uuid.uuid4())
        polled = Execution.objects.filter(pk__in=list(due), next_step_at__lte=now).exclude(status__in=STEPPED)
        if not polled.update(claim=batch.token, next_step_at=now + LEASE):
            return
        inquiries = _inquiries(batch, now)
        for inquiry in inquiries:
            for execution_id in inquiry.executions:
                batch.waiting[execution_id].add(inquiry.place)
        for execution in Execution.objects.filter(claim=batch.token).exclude(pk__in=list(batch.waiting)):
            self.crew.start(self._without_job(execution, batch.token))
        for inquiry in inquiries:
            self.crew.start(self._inquire(inquiry))
        over = {pk: run for each in inquiries for pk, run in each.executions.items() if run.state.is_final}
        for execution in over.values():
            self.crew.start(self._tend(execution, batch.token))

    def _tend(self, execution: Execution, token: uuid.UUID) -> Errand[None]:
        """What no poll settles for a run that is over."""
        yield from follow_up.tend(execution, self.clock)
        yield from launch.take_over_late(Run(execution, [], token), self.clock)

    def _without_job(self, execution: Execution, token: uuid.UUID) -> Errand[None]:
        """A run without a job at DRS: paused, cancelled before anything arrived there, or over and fully known."""
        if execution.state.is_final:
            yield from self._tend(execution, token)
            _rest_for_good(execution, token, self.clock())
        else:
            yield from self._advance(execution.pk, token)

    def _advance(self, execution_id: uuid.UUID, token: uuid.UUID) -> Errand[None]:
        if (yield from advance(execution_id, token, self.clock, share=True)):
            self.ready.append(execution_id)

    def _inquire(self, inquiry: Inquiry) -> Errand[None]:
        question = _question(inquiry)
        answer: Answer = yield partial(ask, question)
        now, batch = self.clock(), inquiry.batch
        if answer.error is None:
            batch.answered |= set(inquiry.executions)
            self._apply(inquiry, answer, now)
        else:
            batch.failed |= set(inquiry.executions)
            _note_failure(inquiry, answer.error, now)
        for execution_id in inquiry.executions:
            batch.waiting[execution_id].discard(inquiry.place)
        self._conclude(inquiry, [each for each in inquiry.executions if not batch.waiting[each]], now)
        if any(job.job_id in answer.jobs for job in inquiry.jobs) and inquiry.place not in self.reading:
            self.reading.add(inquiry.place)
            question = replace(question, open_servers=open_servers(answer))
            try:
                more: Answer = yield partial(read_on, question, answer.jobs)
            finally:
                self.reading.remove(inquiry.place)
            say_unlisted(question, more, self.clock())
            self._apply_more(inquiry, more)

    def _apply_more(self, inquiry: Inquiry, answer: Answer) -> None:
        """Write down what logs and instances tell. Nobody's claim guards this: the rows are read anew under a lock, and
        what DRS tells of them only ever grows. Where nothing but a log has grown, a forecast is all that may change."""
        told = {*answer.logs, *answer.unread, *(job_id for job_id, _ in answer.instances)}
        told.update(each.job_id for each in answer.jobs.values() if answer.listed and each.status == JOB_COMPLETED)
        jobs = LaunchJob.objects.filter(pk__in=[job.pk for job in inquiry.jobs], job_id__in=told)
        changed = list(save_answers.by_run(save_answers.fresh(jobs), answer, inquiry.asked_at))
        grown: list[uuid.UUID] = []
        for at in range(0, len(changed), RUNS_A_TRANSACTION):
            some = changed[at : at + RUNS_A_TRANSACTION]
            for execution_id, items in self._keep(some, jobs, answer, inquiry.asked_at):
                if any(each.decides for each in items):
                    self._go_on(execution_id, self.clock())
                elif is_foretold(items[0].job.wave.execution):
                    grown.append(execution_id)
        for execution_id in random.sample(grown, min(len(grown), FORECASTS_A_POLL)):
            self._go_on(execution_id, self.clock())

    def _keep(self, runs: Sequence[uuid.UUID], jobs: QuerySet[LaunchJob], answer: Answer, asked_at: datetime) -> Told:
        """Save what is new of these runs, together; one by one if that fails, so that none keeps the others from it.
        A run that somebody else has locked waits for the next poll."""
        rows = Execution.objects.select_for_update(skip_locked=True).filter(pk__in=runs).order_by("pk")
        try:
            with transaction.atomic():
                mine = jobs.filter(wave__execution__in=list(rows.values_list("pk", flat=True)))
                found = save_answers.by_run(save_answers.fresh(mine), answer, asked_at)
                save_answers.save([each for items in found.values() for each in items], self.clock())
                return list(found.items())
        except Exception as error:  # of one run, whatever it is: the others must not wait for it
            if is_outage(error):
                raise
            if len(runs) == 1:
                log.exception("what DRS told of run %s cannot be written down", runs[0])
                return []
        return [told for each in runs for told in self._keep([each], jobs, answer, asked_at)]

    def _go_on(self, execution_id: uuid.UUID, now: datetime) -> None:
        """Something of a run that rests has changed: decide, or let it rest for good."""
        token = uuid.uuid4()
        resting = Execution.objects.filter(pk=execution_id, claim=None).exclude(status__in=STEPPED)
        if not resting.update(claim=token, next_step_at=now + LEASE):
            return
        execution = Execution.objects.get(pk=execution_id)
        if execution.state.is_final:
            _rest_for_good(execution, token, now)
        else:
            self.crew.start(self._advance(execution_id, token))

    def _apply(self, inquiry: Inquiry, answer: Answer, now: datetime) -> None:
        """Write down what is new, and only then when it was seen: that is what waves are judged by."""
        batch = inquiry.batch
        for execution_id, items in save_answers.by_run(inquiry.jobs, answer, inquiry.asked_at).items():
            with _alone(batch, execution_id, now):
                if _write(execution_id, batch.token, items, now):
                    batch.changed.add(execution_id)
        kept = [job for job in inquiry.jobs if job.wave.execution_id not in batch.unkept]
        seen = LaunchJob.objects.filter(pk__in=[job.pk for job in kept if job.job_id in answer.jobs])
        seen.filter(wave__execution__claim=batch.token).update(seen_at=inquiry.asked_at)
        ids = [ending.pk for ending in inquiry.terminations if ending.job_id in answer.jobs]
        TerminationJob.objects.filter(pk__in=ids).update(seen_at=inquiry.asked_at)
        for ending in inquiry.terminations:
            found = answer.jobs.get(ending.job_id)
            with _alone(batch, ending.execution_id, now):
                if follow_up.follow(ending, found, inquiry.asked_at, now) and found is not None:
                    self.crew.start(follow_up.settle(ending, found, self.clock))

    def _conclude(self, inquiry: Inquiry, complete: Collection[uuid.UUID], now: datetime) -> None:
        """Runs that no place keeps waiting: decide where something changed or is due, else back to the grid."""
        batch, runs = inquiry.batch, inquiry.executions
        heard = batch.answered.intersection(complete)
        due = _with_more_to_do(inquiry, heard) | _with_launch_due(set(complete) - heard, now)
        ways = _sort_out(inquiry, complete, due, now)
        _clear_failures(batch.token, [runs[each] for each in heard - batch.failed - batch.unkept])
        _back_off(batch.token, ways.silent, now)
        for execution_id in ways.unkept:
            _back_off(batch.token, {execution_id}, now)
        for execution_id in ways.over:
            _rest_for_good(runs[execution_id], batch.token, now)
        _back_to_grid(batch.token, ways.resting, now)
        for execution_id in ways.busy:
            self.crew.start(self._advance(execution_id, batch.token))


def _sort_out(inquiry: Inquiry, complete: Collection[uuid.UUID], due: Collection[uuid.UUID], now: datetime) -> Ways:
    """Which way each of these runs goes; `due` are those that need a decision although nothing is new."""
    batch, runs = inquiry.batch, inquiry.executions
    heard = batch.answered.intersection(complete)
    finals = {each for each in complete if runs[each].state.is_final}
    busy = (heard & batch.changed).union(due) - finals
    unkept = heard & batch.unkept - busy
    over = heard & finals - inquiry.still_watched - unkept
    resting = heard - busy - unkept - over
    stale = set([each for each in resting - finals if is_stale(runs[each], now)][:FORECASTS_A_POLL])
    return Ways(set(complete) - heard - busy, unkept, over, busy | stale, resting - stale)


def _inquiries(batch: Batch, now: datetime) -> Sequence[Inquiry]:
    """What to ask, one inquiry an account and region."""
    by_place: dict[Place, Inquiry] = {}
    launches = LaunchJob.objects.filter(wave__execution__claim=batch.token, watched=True)
    for job in launches.select_related("wave__execution").defer(*UNREAD):
        place = (job.account_id, job.region)
        by_place.setdefault(place, Inquiry(batch, place, now)).jobs.append(job)
    endings = TerminationJob.objects.filter(execution__claim=batch.token, watched=True)
    for ending in endings.select_related("execution"):
        place = (ending.account_id, ending.region)
        by_place.setdefault(place, Inquiry(batch, place, now)).terminations.append(ending)
    return list(by_place.values())


def _question(inquiry: Inquiry) -> Question:
    """Ask for all jobs; read at most 20 logs, in turn where there are more."""
    ids = sorted(job.job_id for job in inquiry.jobs)
    turn = int(inquiry.asked_at.timestamp() / settings.POLL_SECONDS) * LOGS_A_POLL % max(len(ids), 1)
    logs = (ids[turn:] + ids[:turn])[:LOGS_A_POLL]
    endings = [ending.job_id for ending in inquiry.terminations]
    account, region = inquiry.place
    return Question(region, account, (*ids, *endings), frozenset(logs))


def _rest_for_good(execution: Execution, token: uuid.UUID, now: datetime) -> None:
    """A run that is over: look again while DRS, in any region, has news of it or a termination is unsettled."""
    unsettled = execution.terminations.filter(Q(status__in=follow_up.UNSETTLED) | Q(watched=True))
    under_way = unsettled.exists() or transitions.is_watched(execution) or uncounted(execution).exists()
    at = d.grid(now, settings.POLL_SECONDS) if under_way else None
    Execution.objects.filter(pk=execution.pk, claim=token).update(claim=None, next_step_at=at)


def _write(execution_id: uuid.UUID, token: uuid.UUID, items: Sequence[News], now: datetime) -> bool:
    """Save what is new of one run, if the claim still stands."""
    with log_context.bound(execution_id=str(execution_id)), transaction.atomic():
        if not Execution.objects.filter(pk=execution_id, claim=token).update(next_step_at=now + LEASE):
            return False
        save_answers.save(items, now)
    return True


def _with_more_to_do(inquiry: Inquiry, executions: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Runs that need a decision although DRS told nothing new: late, unsent, unconfirmed or unsettled launches. Of one
    whose news cannot be written down, jobs in memory know more than its rows."""
    due = {
        job.wave.execution_id
        for job in inquiry.jobs
        if job.wave.execution.cancel_requested_at is not None
        or (job.wave.execution_id not in inquiry.batch.unkept and _may_settle(job, inquiry.asked_at))
    }
    return due.intersection(executions) | _unsent(executions, inquiry.asked_at)


def _unsent(executions: Iterable[uuid.UUID], now: datetime, *, only_due: bool = False) -> set[uuid.UUID]:
    """Runs with a launch that is not confirmed; of a wave that has not begun, or with `only_due`, one whose time has
    come."""
    jobs = LaunchJob.objects.filter(
        wave__execution__in=list(executions), status__in=[JobStatus.QUEUED, JobStatus.INITIATED]
    )
    is_due = Q(not_before__lte=now) & ~Q(wave__status__in=WAVE_FINAL)
    begun = Q(wave__status__in=WAVE_BEGUN)
    if only_due:
        begun &= Q(not_before=None)
    return set(jobs.filter(begun | is_due).values_list("wave__execution_id", flat=True))


def _with_launch_due(silent: Collection[uuid.UUID], now: datetime) -> set[uuid.UUID]:
    """Of runs of which no place answered, those that have something to send all the same, elsewhere perhaps. Nothing
    is concluded from the silence: waves are judged by what was seen after their deadline."""
    return _unsent(silent, now, only_due=True) if silent else set()


def _may_settle(job: LaunchJob, asked_at: datetime) -> bool:
    late = job.wave.deadline_at is not None and job.wave.deadline_at < asked_at
    return late or job.state is JobStatus.COMPLETED


def _back_to_grid(token: uuid.UUID, executions: Iterable[uuid.UUID], now: datetime) -> None:
    ids = list(executions)
    if ids:
        slot = d.grid(now, settings.POLL_SECONDS)
        Execution.objects.filter(pk__in=ids, claim=token).update(claim=None, next_step_at=slot)


def _clear_failures(token: uuid.UUID, runs: Iterable[Execution]) -> None:
    """AWS answers again; where a launch is in doubt, whoever looks for it says whether its region does."""
    ids = [run.pk for run in runs if run.failing_since is not None]
    if ids:
        in_doubt = LaunchJob.objects.filter(status=JobStatus.INITIATED, job_id="").values("wave__execution")
        held = Execution.objects.filter(pk__in=ids, claim=token).exclude(pk__in=in_doubt)
        held.update(failures=0, failing_since=None, aws_error="", revision=F("revision") + 1)


def _note_failure(inquiry: Inquiry, error: DrsError, now: datetime) -> None:
    """DRS did not answer: say so on the runs. Nothing is concluded from it."""
    log.warning("polling %s failed: %s", inquiry.place, error, extra={"executions": [*map(str, inquiry.executions)]})
    _say_failing(inquiry.batch.token, inquiry.executions, str(error), now)


def _say_failing(token: uuid.UUID, executions: Iterable[uuid.UUID], text: str, now: datetime) -> None:
    Execution.objects.filter(pk__in=list(executions), claim=token).update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", now),
        aws_error=storable(text),
        revision=F("revision") + 1,
        updated_at=now,
    )


@contextmanager
def _alone(batch: Batch, execution_id: uuid.UUID, now: datetime) -> Iterator[None]:
    """What fails in here, fails for this run, and its page says so."""
    try:
        yield
    except Exception as error:  # of one run, whatever it is: the others must not wait for it
        if is_outage(error):
            raise
        log.exception("what AWS told of run %s cannot be written down", execution_id)
        batch.unkept.add(execution_id)
        text = f"{UNKEPT}: {type(error).__name__}: {error}"
        _say_failing(batch.token, {execution_id}, text, now)


def _back_off(token: uuid.UUID, executions: Iterable[uuid.UUID], now: datetime) -> None:
    """No place answered for these runs: leave AWS alone for a while."""
    held = Execution.objects.filter(pk__in=list(executions), claim=token)
    failures = held.aggregate(most=Max("failures"))["most"] if executions else None
    if failures:
        held.update(claim=None, next_step_at=now + d.backoff(failures - 1, settings.POLL_SECONDS))
