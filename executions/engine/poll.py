"""Asks DRS, place by place, for every job of which it may have news, and writes down what it says.

Facts only grow, so nobody's claim guards them: rows are read anew under the run's lock. What is news to decide about
makes its run due. A place that does not answer rests, and holds up no other; logs and instances are read last.
"""

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from contract import log_context
from contract.clock import Clock, db_clock
from contract.database_errors import is_outage
from contract.storage.prepared import Asked, Prepared
from drs.shapes import JOB_COMPLETED, Job
from executions.engine import places, save_answers
from executions.launching.waiting_line import call_next, is_waited_for
from executions.measuring.forecast import has_forecast, is_stale
from executions.models import Execution, LaunchJob, Place, TerminationJob
from executions.observing.drs_answers import Answer, JobChanges, Question, ask, read_logs_and_instances
from executions.observing.open_servers import open_servers, report_unlisted, unchecked_instances, unseen_servers
from executions.runs import decide as d
from executions.runs.aws_calls import AwsCalls, CallPool
from executions.runs.claim import LARGE_COLUMNS, wake
from executions.runs.silence.unresponsive_regions import UNSAVED
from executions.states import JobStatus
from executions.terminating import follow_up

log = logging.getLogger(__name__)

FORECASTS_PER_POLL = 5  # made anew because they are stale or a log has grown; the others wait for the next poll
RUNS_PER_TRANSACTION = 25  # whose facts are written together
LONGEST_JOB = timedelta(hours=6)  # no DRS job runs for longer
LOGS_PER_POLL = 20  # as many as DRS runs jobs at once in a region; of more, as many as it takes
PHASES_WITHIN = timedelta(seconds=60)  # how old the phase of a server may be on a page: it is told by logs alone

ChangesByRun = dict[uuid.UUID, list[JobChanges]]
_HERE = {"account_id": Asked(Place, "account_id"), "region": Asked(Place, "region"), "watched": True}
_JOBS = Prepared(lambda: LaunchJob.objects.filter(**_HERE).select_related("wave__execution").defer(*LARGE_COLUMNS))
_ENDINGS = Prepared(lambda: TerminationJob.objects.filter(**_HERE).select_related("execution"))


@dataclass
class Poll:
    """One question to a place: what it is about, and what came of it."""

    place: Place
    asked_at: datetime
    jobs: list[LaunchJob]
    endings: list[TerminationJob]
    unsaved: set[uuid.UUID] = field(default_factory=set)  # runs of which an answer could not be saved

    @property
    def runs(self) -> dict[uuid.UUID, Execution]:
        """Those that have something there."""
        runs = {job.wave.execution_id: job.wave.execution for job in self.jobs}
        return runs | {ending.execution_id: ending.execution for ending in self.endings}


class Poller:
    """Lives as long as a sweep. `news` are runs that became due by what was heard."""

    def __init__(self, pool: CallPool, clock: Clock = db_clock) -> None:
        self.pool = pool
        self.clock = clock
        self.news: list[uuid.UUID] = []
        self.next_slot: datetime | None = None
        self.reading: set[int] = set()  # places whose logs are being read
        self.refused: dict[int, set[str]] = defaultdict(set)  # ids by place that spoil every question they are part of

    def start(self, now: datetime) -> None:
        """Ask the places that are due; all that are not resting are at each slot of the grid."""
        if self.next_slot is None or now >= self.next_slot or self.next_slot > d.next_poll_slot(now, self._seconds):
            self.next_slot = d.next_poll_slot(now, self._seconds)
            places.arm(now)
        for place in places.take_due(now):
            self.pool.start(self._ask(place))

    @property
    def _seconds(self) -> float:
        seconds: float = settings.POLL_SECONDS
        return seconds

    def _ask(self, place: Place) -> AwsCalls[None]:
        here = {"account_id": place.account_id, "region": place.region}
        poll = Poll(place, self.clock(), _JOBS.objects(**here), _ENDINGS.objects(**here))
        question = self._question(poll)
        if not question.job_ids and question.since is None:
            places.leave(place)
            return
        answer: Answer = yield partial(ask, question)
        self.refused[place.pk] = answer.refused
        if answer.error is not None:
            log.warning(
                "Polling DRS in %s failed: %s",
                place.region,
                answer.error,
                extra={"executions": [*map(str, poll.runs)]},
            )
            places.note_failure(place, answer.error, self.clock())
            return
        news = self._save_answer(poll, answer)
        places.note_answer(place, poll.asked_at, poll.unsaved)
        self._tell(news)
        self._tell(call_next(place, answer.running, self.clock()))
        if any(job.job_id in answer.jobs for job in poll.jobs) and place.pk not in self.reading:
            self.reading.add(place.pk)
            question = replace(question, open_servers=open_servers(answer))
            try:
                more: Answer = yield partial(read_logs_and_instances, question, answer.jobs)
            finally:
                self.reading.remove(place.pk)
            report_unlisted(question, more, self.clock())
            self._save_logs_and_instances(poll, more)

    def _question(self, poll: Poll) -> Question:
        """Ask for all jobs, or where launches wait for a quota for all that run; read logs in turn, each once a minute
        or oftener."""
        ids = sorted(job.job_id for job in poll.jobs)
        polls = max(int(PHASES_WITHIN.total_seconds() / self._seconds), 1)
        at_once = max(LOGS_PER_POLL, -(-len(ids) // polls))
        turn = int(poll.asked_at.timestamp() / self._seconds) * at_once % max(len(ids), 1)
        logs = (ids[turn:] + ids[:turn])[:at_once]
        ended = [ending.job_id for ending in poll.endings]
        place = poll.place
        since = None
        if is_waited_for(place):
            made = [job.created_at for job in poll.jobs if job.created_at is not None]
            since = min([poll.asked_at - LONGEST_JOB, *made])
        return Question(
            place.region,
            place.account_id,
            (*ids, *ended),
            frozenset(logs),
            apart=frozenset(self.refused[place.pk]),
            since=since,
            unseen=unseen_servers(ids),
            unchecked=unchecked_instances(ids),
        )

    def _tell(self, runs: Collection[uuid.UUID]) -> None:
        wake(runs, self.clock())
        self.news += runs

    def _save_answer(self, poll: Poll, answer: Answer) -> set[uuid.UUID]:
        """Write down what is new, and only then when it was seen: that is what waves are judged by. Answers the runs
        that are to decide."""
        compared = save_answers.changes_by_run(poll.jobs, answer, poll.asked_at)
        saved = self._save(poll, list(compared), poll.jobs, answer, waits=True)
        kept = [job for job in poll.jobs if job.wave.execution_id not in poll.unsaved]
        seen = LaunchJob.objects.filter(pk__in=[job.pk for job in kept if job.job_id in answer.jobs], watched=True)
        seen.filter(Q(seen_at=None) | Q(seen_at__lt=poll.asked_at)).update(seen_at=poll.asked_at)
        news = {run for run, items in saved.items() if any(each.needs_decision for each in items)}
        news |= {job.wave.execution_id for job in kept if _is_decidable(job, poll.asked_at)}
        news |= self._save_endings(poll, answer)
        idle = (run for run in poll.runs.values() if run.pk not in news | poll.unsaved)
        stale = [run.pk for run in idle if not run.state.is_final and is_stale(run, poll.asked_at)]
        return news.union(stale[:FORECASTS_PER_POLL])

    def _save_endings(self, poll: Poll, answer: Answer) -> set[uuid.UUID]:
        """What DRS says of terminations; answers the runs of those that have ended."""
        ids = [ending.pk for ending in poll.endings if ending.job_id in answer.jobs]
        if ids:
            TerminationJob.objects.filter(pk__in=ids).update(seen_at=poll.asked_at)
        for ending in poll.endings:
            found, now = answer.jobs.get(ending.job_id), self.clock()
            try:
                if follow_up.save_progress(ending, found, poll.asked_at, now) and found is not None:
                    self.pool.start(self._settle(ending, found))
            except Exception as error:  # of one run, whatever it is: the others must not wait for it
                if is_outage(error):
                    raise
                log.exception("DRS's answer for run %s could not be saved", ending.execution_id)
                self._show_unsaved(poll, ending.execution_id, error)
        return {ending.execution_id for ending in poll.endings if not ending.watched}

    def _settle(self, ending: TerminationJob, found: Job) -> AwsCalls[None]:
        yield from follow_up.settle_ended_job(ending, found, self.clock)
        self._tell([ending.execution_id])

    def _save_logs_and_instances(self, poll: Poll, answer: Answer) -> None:
        """Where nothing but a log has grown, a forecast is all that may change. A run that somebody else has locked
        waits for the next poll."""
        told = {*answer.logs, *answer.unread, *(job_id for job_id, _ in answer.instances)}
        told.update(each.job_id for each in answer.jobs.values() if answer.listed and each.status == JOB_COMPLETED)
        jobs = [job for job in poll.jobs if job.job_id in told]
        runs = save_answers.runs_with_news(save_answers.load_watched(jobs), answer, poll.asked_at)
        news: list[uuid.UUID] = []
        grown: list[uuid.UUID] = []
        for run, items in self._save(poll, runs, jobs, answer, waits=False).items():
            if any(each.needs_decision for each in items):
                news.append(run)
            elif has_forecast(items[0].job.wave.execution):
                grown.append(run)
        self._tell(news + random.sample(grown, min(len(grown), FORECASTS_PER_POLL)))

    def _save(
        self, poll: Poll, runs: Sequence[uuid.UUID], jobs: Sequence[LaunchJob], answer: Answer, *, waits: bool
    ) -> ChangesByRun:
        """Save what is new of these runs, some together; one by one where that fails, so that none keeps the others
        from it. What is new is compared again with the rows as they are under the lock."""
        saved: ChangesByRun = {}
        for at in range(0, len(runs), RUNS_PER_TRANSACTION):
            some = runs[at : at + RUNS_PER_TRANSACTION]
            try:
                saved |= _save_together(some, jobs, answer, poll.asked_at, self.clock(), waits=waits)
            except Exception as error:  # of one run, whatever it is: the others must not wait for it
                if is_outage(error):
                    raise
                for run in some:
                    with log_context.bound(execution_id=str(run)):
                        saved |= self._save_alone(poll, run, jobs, answer, waits=waits)
        return saved

    def _save_alone(
        self, poll: Poll, run: uuid.UUID, jobs: Sequence[LaunchJob], answer: Answer, *, waits: bool
    ) -> ChangesByRun:
        try:
            return _save_together([run], jobs, answer, poll.asked_at, self.clock(), waits=waits)
        except Exception as error:  # its page says so, and it is tried again
            if is_outage(error):
                raise
            log.exception("DRS's answer for run %s could not be saved", run)
            self._show_unsaved(poll, run, error)
            return {}

    def _show_unsaved(self, poll: Poll, run: uuid.UUID, error: Exception) -> None:
        now = self.clock()
        poll.unsaved.add(run)
        places.show_trouble([run], f"{UNSAVED}: {type(error).__name__}: {error}", now, now)


def _save_together(
    runs: Sequence[uuid.UUID],
    jobs: Sequence[LaunchJob],
    answer: Answer,
    asked_at: datetime,
    now: datetime,
    *,
    waits: bool,
) -> ChangesByRun:
    rows = Execution.objects.select_for_update(skip_locked=not waits).filter(pk__in=runs).order_by("pk")
    with transaction.atomic():
        held = set(rows.values_list("pk", flat=True))
        mine = [job for job in jobs if job.wave.execution_id in held]
        found = save_answers.changes_by_run(save_answers.load_watched(mine), answer, asked_at)
        save_answers.save([each for items in found.values() for each in items], now)
        return found


def _is_decidable(job: LaunchJob, asked_at: datetime) -> bool:
    """Whether a run has something to decide although DRS told nothing new: its wave is late, its job has ended, or what
    was launched must come up within a time."""
    late = job.wave.deadline_at is not None and job.wave.deadline_at < asked_at
    launched = job.state is JobStatus.COMPLETED or job.wave.means.needs_checks
    return not job.wave.state.is_final and (late or launched)
