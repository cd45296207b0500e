"""Polls DRS for every run that has a job there: one call per account and region, none waiting for another.

Due runs are claimed together with one UPDATE and one token. Answers are saved as they arrive; a region that does not
answer holds up only its own runs. Runs without changes are released until the next poll in one UPDATE. Logs and
instances are read after that, when no run waits for them.
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
from executions.measuring.forecast import has_forecast, is_stale
from executions.models import Execution, LaunchJob, TerminationJob
from executions.observing.drs_answers import Answer, JobChanges, Question, ask, read_logs_and_instances
from executions.observing.open_servers import open_servers, report_unlisted, unchecked_instances, unseen_servers
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.aws_calls import AwsCalls, CallPool
from executions.runs.claim import LARGE_COLUMNS, LEASE, Run, unconfirmed_launches
from executions.runs.silence.unresponsive_regions import UNSAVED
from executions.states import JOB_UNCONFIRMED, STEPPED, WAVE_BEGUN, WAVE_FINAL, JobStatus
from executions.terminating import follow_up

log = logging.getLogger(__name__)

FORECASTS_PER_POLL = 5  # made anew because they are stale or a log has grown; the others wait for the next poll
RUNS_PER_TRANSACTION = 25  # whose log lines are written together
LOGS_PER_POLL = 20  # as many as DRS runs jobs at once in a region

Place = tuple[str, str]  # account, region
ChangesByRun = list[tuple[uuid.UUID, list[JobChanges]]]


@dataclass
class ClaimedRuns:
    """Runs claimed together: the regions that have not answered yet, and what came of those that have."""

    token: uuid.UUID
    waiting: dict[uuid.UUID, set[Place]] = field(default_factory=lambda: defaultdict(set))
    changed: set[uuid.UUID] = field(default_factory=set)
    answered: set[uuid.UUID] = field(default_factory=set)
    failed: set[uuid.UUID] = field(default_factory=set)
    unsaved: set[uuid.UUID] = field(default_factory=set)  # an answer about them could not be saved


@dataclass(frozen=True)
class RegionPoll:
    """A poll of one account and region that waits for its answer."""

    claimed: ClaimedRuns
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
class NextSteps:
    """What happens next with runs whose regions have all answered or failed: each is in exactly one set."""

    unanswered: set[uuid.UUID]  # no region answered
    unsaved: set[uuid.UUID]  # an answer could not be saved
    finished: set[uuid.UUID]  # and DRS will report nothing more about them
    to_decide: set[uuid.UUID]  # something is to be decided, or a forecast is due
    unchanged: set[uuid.UUID]


class Poller:
    """Lives as long as a sweep. `ready_to_launch` are runs that may launch their next wave, on any engine."""

    def __init__(self, pool: CallPool, clock: Clock = db_clock) -> None:
        self.pool = pool
        self.clock = clock
        self.ready_to_launch: list[uuid.UUID] = []
        self.reading: set[Place] = set()  # whose logs are being read

    def start(self, due: Iterable[uuid.UUID], now: datetime) -> None:
        """Claim the due runs that are polled, and ask DRS for their jobs."""
        claimed = ClaimedRuns(uuid.uuid4())
        polled = Execution.objects.filter(pk__in=list(due), next_step_at__lte=now).exclude(status__in=STEPPED)
        if not polled.update(claim=claimed.token, next_step_at=now + LEASE):
            return
        region_polls = _region_polls(claimed, now)
        for poll in region_polls:
            for execution_id in poll.executions:
                claimed.waiting[execution_id].add(poll.place)
        for execution in Execution.objects.filter(claim=claimed.token).exclude(pk__in=list(claimed.waiting)):
            self.pool.start(self._without_job(execution, claimed.token))
        for poll in region_polls:
            self.pool.start(self._poll_region(poll))
        finished = {pk: run for each in region_polls for pk, run in each.executions.items() if run.state.is_final}
        for execution in finished.values():
            self.pool.start(self._follow_up_finished(execution, claimed.token))

    def _follow_up_finished(self, execution: Execution, token: uuid.UUID) -> AwsCalls[None]:
        """Terminations and unconfirmed launches of a run that is over."""
        yield from follow_up.follow_up_finished(execution, self.clock)
        yield from launch.adopt_late(Run(execution, [], token), self.clock)

    def _without_job(self, execution: Execution, token: uuid.UUID) -> AwsCalls[None]:
        """A run without a job at DRS: paused, cancelled before anything arrived there, or over and fully known."""
        if execution.state.is_final:
            yield from self._follow_up_finished(execution, token)
            _release_finished(execution, token, self.clock())
        else:
            yield from self._advance(execution.pk, token)

    def _advance(self, execution_id: uuid.UUID, token: uuid.UUID) -> AwsCalls[None]:
        if (yield from advance(execution_id, token, self.clock, stop_at_launch=True)):
            self.ready_to_launch.append(execution_id)

    def _poll_region(self, poll: RegionPoll) -> AwsCalls[None]:
        question = _question(poll)
        answer: Answer = yield partial(ask, question)
        now, claimed = self.clock(), poll.claimed
        if answer.error is None:
            claimed.answered |= set(poll.executions)
            self._save_answer(poll, answer, now)
        else:
            claimed.failed |= set(poll.executions)
            _note_failure(poll, answer.error, now)
        for execution_id in poll.executions:
            claimed.waiting[execution_id].discard(poll.place)
        self._finish_poll(poll, [each for each in poll.executions if not claimed.waiting[each]], now)
        if any(job.job_id in answer.jobs for job in poll.jobs) and poll.place not in self.reading:
            self.reading.add(poll.place)
            question = replace(question, open_servers=open_servers(answer))
            try:
                more: Answer = yield partial(read_logs_and_instances, question, answer.jobs)
            finally:
                self.reading.remove(poll.place)
            report_unlisted(question, more, self.clock())
            self._save_logs_and_instances(poll, more)

    def _save_logs_and_instances(self, poll: RegionPoll, answer: Answer) -> None:
        """Write down what logs and instances tell. Nobody's claim guards this: the rows are read anew under a lock, and
        what DRS tells of them only ever grows. Where nothing but a log has grown, a forecast is all that may change."""
        told = {*answer.logs, *answer.unread, *(job_id for job_id, _ in answer.instances)}
        told.update(each.job_id for each in answer.jobs.values() if answer.listed and each.status == JOB_COMPLETED)
        jobs = LaunchJob.objects.filter(pk__in=[job.pk for job in poll.jobs], job_id__in=told)
        changed = list(save_answers.changes_by_run(save_answers.load_watched(jobs), answer, poll.asked_at))
        grown: list[uuid.UUID] = []
        for at in range(0, len(changed), RUNS_PER_TRANSACTION):
            some = changed[at : at + RUNS_PER_TRANSACTION]
            for execution_id, items in self._save_runs(some, jobs, answer, poll.asked_at):
                if any(each.needs_decision for each in items):
                    self._decide_again(execution_id, self.clock())
                elif has_forecast(items[0].job.wave.execution):
                    grown.append(execution_id)
        for execution_id in random.sample(grown, min(len(grown), FORECASTS_PER_POLL)):
            self._decide_again(execution_id, self.clock())

    def _save_runs(
        self, runs: Sequence[uuid.UUID], jobs: QuerySet[LaunchJob], answer: Answer, asked_at: datetime
    ) -> ChangesByRun:
        """Save what is new of these runs, together; one by one if that fails, so that none keeps the others from it.
        A run that somebody else has locked waits for the next poll."""
        rows = Execution.objects.select_for_update(skip_locked=True).filter(pk__in=runs).order_by("pk")
        try:
            with transaction.atomic():
                mine = jobs.filter(wave__execution__in=list(rows.values_list("pk", flat=True)))
                found = save_answers.changes_by_run(save_answers.load_watched(mine), answer, asked_at)
                save_answers.save([each for items in found.values() for each in items], self.clock())
                return list(found.items())
        except Exception as error:  # of one run, whatever it is: the others must not wait for it
            if is_outage(error):
                raise
            if len(runs) == 1:
                log.exception("DRS's answer for run %s could not be saved", runs[0])
                return []
        return [told for each in runs for told in self._save_runs([each], jobs, answer, asked_at)]

    def _decide_again(self, execution_id: uuid.UUID, now: datetime) -> None:
        """A run between polls has changed: decide, or release it if it is over."""
        token = uuid.uuid4()
        unchanged = Execution.objects.filter(pk=execution_id, claim=None).exclude(status__in=STEPPED)
        if not unchanged.update(claim=token, next_step_at=now + LEASE):
            return
        execution = Execution.objects.get(pk=execution_id)
        if execution.state.is_final:
            _release_finished(execution, token, now)
        else:
            self.pool.start(self._advance(execution_id, token))

    def _save_answer(self, poll: RegionPoll, answer: Answer, now: datetime) -> None:
        """Write down what is new, and only then when it was seen: that is what waves are judged by."""
        claimed = poll.claimed
        for execution_id, items in save_answers.changes_by_run(poll.jobs, answer, poll.asked_at).items():
            with _isolated(claimed, execution_id, now):
                if _save_if_claimed(execution_id, claimed.token, items, now):
                    claimed.changed.add(execution_id)
        kept = [job for job in poll.jobs if job.wave.execution_id not in claimed.unsaved]
        seen = LaunchJob.objects.filter(pk__in=[job.pk for job in kept if job.job_id in answer.jobs])
        seen.filter(wave__execution__claim=claimed.token).update(seen_at=poll.asked_at)
        ids = [ending.pk for ending in poll.terminations if ending.job_id in answer.jobs]
        TerminationJob.objects.filter(pk__in=ids).update(seen_at=poll.asked_at)
        for ending in poll.terminations:
            found = answer.jobs.get(ending.job_id)
            with _isolated(claimed, ending.execution_id, now):
                if follow_up.save_progress(ending, found, poll.asked_at, now) and found is not None:
                    self.pool.start(follow_up.settle_ended_job(ending, found, self.clock))

    def _finish_poll(self, poll: RegionPoll, complete: Collection[uuid.UUID], now: datetime) -> None:
        """Runs that wait for no other region: decide where something changed or is due, else wait for the next poll."""
        claimed, runs = poll.claimed, poll.executions
        heard = claimed.answered.intersection(complete)
        due = _needing_decision(poll, heard) | _with_due_launch(set(complete) - heard, now)
        next_steps = _next_steps(poll, complete, due, now)
        _clear_failures(claimed.token, [runs[each] for each in heard - claimed.failed - claimed.unsaved])
        _back_off(claimed.token, next_steps.unanswered, now)
        for execution_id in next_steps.unsaved:
            _back_off(claimed.token, {execution_id}, now)
        for execution_id in next_steps.finished:
            _release_finished(runs[execution_id], claimed.token, now)
        _release_until_next_poll(claimed.token, next_steps.unchanged, now)
        for execution_id in next_steps.to_decide:
            self.pool.start(self._advance(execution_id, claimed.token))


def _next_steps(
    poll: RegionPoll, complete: Collection[uuid.UUID], due: Collection[uuid.UUID], now: datetime
) -> NextSteps:
    """Classify these runs; `due` are those that need a decision although nothing changed."""
    claimed, runs = poll.claimed, poll.executions
    heard = claimed.answered.intersection(complete)
    finals = {each for each in complete if runs[each].state.is_final}
    to_decide = (heard & claimed.changed).union(due) - finals
    unsaved = heard & claimed.unsaved - to_decide
    finished = heard & finals - poll.still_watched - unsaved
    unchanged = heard - to_decide - unsaved - finished
    stale = set([each for each in unchanged - finals if is_stale(runs[each], now)][:FORECASTS_PER_POLL])
    return NextSteps(set(complete) - heard - to_decide, unsaved, finished, to_decide | stale, unchanged - stale)


def _region_polls(claimed: ClaimedRuns, now: datetime) -> Sequence[RegionPoll]:
    """What to ask, one inquiry an account and region."""
    by_place: dict[Place, RegionPoll] = {}
    launches = LaunchJob.objects.filter(wave__execution__claim=claimed.token, watched=True)
    for job in launches.select_related("wave__execution").defer(*LARGE_COLUMNS):
        place = (job.account_id, job.region)
        by_place.setdefault(place, RegionPoll(claimed, place, now)).jobs.append(job)
    endings = TerminationJob.objects.filter(execution__claim=claimed.token, watched=True)
    for ending in endings.select_related("execution"):
        place = (ending.account_id, ending.region)
        by_place.setdefault(place, RegionPoll(claimed, place, now)).terminations.append(ending)
    return list(by_place.values())


def _question(poll: RegionPoll) -> Question:
    """Ask for all jobs; read at most 20 logs, in turn where there are more."""
    ids = sorted(job.job_id for job in poll.jobs)
    turn = int(poll.asked_at.timestamp() / settings.POLL_SECONDS) * LOGS_PER_POLL % max(len(ids), 1)
    logs = (ids[turn:] + ids[:turn])[:LOGS_PER_POLL]
    every = (*ids, *(ending.job_id for ending in poll.terminations))
    account, region = poll.place
    return Question(region, account, every, frozenset(logs), {}, unseen_servers(ids), unchecked_instances(ids))


def _release_finished(execution: Execution, token: uuid.UUID, now: datetime) -> None:
    """A run that is over: look again while DRS, in any region, has news of it or a termination is unsettled."""
    unsettled = execution.terminations.filter(Q(status__in=JOB_UNCONFIRMED) | Q(watched=True))
    under_way = unsettled.exists() or transitions.is_watched(execution) or unconfirmed_launches(execution).exists()
    at = d.next_poll_slot(now, settings.POLL_SECONDS) if under_way else None
    Execution.objects.filter(pk=execution.pk, claim=token).update(claim=None, next_step_at=at)


def _save_if_claimed(execution_id: uuid.UUID, token: uuid.UUID, items: Sequence[JobChanges], now: datetime) -> bool:
    """Save what is new of one run, if the claim still stands."""
    with log_context.bound(execution_id=str(execution_id)), transaction.atomic():
        if not Execution.objects.filter(pk=execution_id, claim=token).update(next_step_at=now + LEASE):
            return False
        save_answers.save(items, now)
    return True


def _needing_decision(poll: RegionPoll, executions: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Runs that need a decision although DRS told nothing new: late, unsent, unconfirmed or unsettled launches. Of one
    whose answer could not be saved, jobs in memory know more than its rows."""
    due = {
        job.wave.execution_id
        for job in poll.jobs
        if job.wave.execution.cancel_requested_at is not None
        or (job.wave.execution_id not in poll.claimed.unsaved and _is_decidable(job, poll.asked_at))
    }
    return due.intersection(executions) | _unsent(executions, poll.asked_at)


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


def _with_due_launch(unanswered: Collection[uuid.UUID], now: datetime) -> set[uuid.UUID]:
    """Of runs of which no place answered, those that have something to send all the same, elsewhere perhaps. Nothing
    is concluded from the silence: waves are judged by what was seen after their deadline."""
    return _unsent(unanswered, now, only_due=True) if unanswered else set()


def _is_decidable(job: LaunchJob, asked_at: datetime) -> bool:
    late = job.wave.deadline_at is not None and job.wave.deadline_at < asked_at
    return late or job.state is JobStatus.COMPLETED or job.wave.means.needs_checks


def _release_until_next_poll(token: uuid.UUID, executions: Iterable[uuid.UUID], now: datetime) -> None:
    ids = list(executions)
    if ids:
        slot = d.next_poll_slot(now, settings.POLL_SECONDS)
        Execution.objects.filter(pk__in=ids, claim=token).update(claim=None, next_step_at=slot)


def _clear_failures(token: uuid.UUID, runs: Iterable[Execution]) -> None:
    """AWS answers again; where a launch is in doubt, whoever looks for it says whether its region does."""
    ids = [run.pk for run in runs if run.failing_since is not None]
    if ids:
        in_doubt = LaunchJob.objects.filter(status=JobStatus.INITIATED, job_id="").values("wave__execution")
        held = Execution.objects.filter(pk__in=ids, claim=token).exclude(pk__in=in_doubt)
        held.update(failures=0, failing_since=None, aws_error="", revision=F("revision") + 1)


def _note_failure(poll: RegionPoll, error: DrsError, now: datetime) -> None:
    """DRS did not answer: say so on the runs. Nothing is concluded from it."""
    log.warning(
        "Polling DRS in %s failed: %s",
        poll.place[1],
        error,
        extra={"executions": [*map(str, poll.executions)]},
    )
    _record_failure(poll.claimed.token, poll.executions, str(error), now)


def _record_failure(token: uuid.UUID, executions: Iterable[uuid.UUID], text: str, now: datetime) -> None:
    Execution.objects.filter(pk__in=list(executions), claim=token).update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", now),
        aws_error=storable(text),
        revision=F("revision") + 1,
        updated_at=now,
    )


@contextmanager
def _isolated(claimed: ClaimedRuns, execution_id: uuid.UUID, now: datetime) -> Iterator[None]:
    """An error in here concerns this run alone, and its page says so."""
    try:
        yield
    except Exception as error:  # of one run, whatever it is: the others must not wait for it
        if is_outage(error):
            raise
        log.exception("DRS's answer for run %s could not be saved", execution_id)
        claimed.unsaved.add(execution_id)
        text = f"{UNSAVED}: {type(error).__name__}: {error}"
        _record_failure(claimed.token, {execution_id}, text, now)


def _back_off(token: uuid.UUID, executions: Iterable[uuid.UUID], now: datetime) -> None:
    """No region answered for these runs: back off."""
    held = Execution.objects.filter(pk__in=list(executions), claim=token)
    failures = held.aggregate(most=Max("failures"))["most"] if executions else None
    if failures:
        held.update(claim=None, next_step_at=now + d.backoff(failures - 1, settings.POLL_SECONDS))
