"""One look at everything that is due: polls DRS, advances runs, keeps the inventory fresh. Called twice a second."""

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.utils.module_loading import import_string

from audit import sealing
from contract.clock import Clock, db_clock
from contract.database_errors import is_outage
from contract.storage.prepared import Asked, Prepared
from drs.errors import DrsError
from drs.shapes import Job
from executions import installation
from executions.engine import journal_head
from executions.engine.advance import step_calls
from executions.engine.details import DetailsReader
from executions.engine.poll import Poller
from executions.metrics import failed_aws_calls
from executions.models import Execution
from executions.readiness import stored_verdicts
from executions.runs.aws_calls import AwsCalls, CallPool
from executions.runs.gates import waiting
from executions.runs.silence.stalled import mark_stalled
from executions.runs.silence.unresponsive_regions import stalled_before
from executions.terminating import cleanup_proof, leases, outside_changes, outside_instances
from native_plans import kept
from notify.stream import telling
from protection.inventory import capacity, launch_details, native_runs, recovery_instances, rights
from protection.inventory import source_servers as inventory

log = logging.getLogger(__name__)

Chore = Callable[[datetime, Clock], Iterable[AwsCalls[None]]]

BATCH = 500
INLINE_SECONDS = 0.5  # how long it steps runs, or goes on with answers, before it looks around again
MAX_WAIT_SECONDS = 0.5  # how long a sweep waits for answers before it goes on
OFFERED_TO_WORKERS = 8  # how many due runs are offered to idle workers at once
LEFT_TO_WORKERS = 0.4  # seconds in which a worker has begun with what it was offered, if there is one
FORGOTTEN_AFTER = 1.0  # seconds after which a run may be offered again
INVENTORY_CHECK = timedelta(seconds=5)
SEAL_CHECK = timedelta(seconds=5)
HEAD_CHECK = timedelta(minutes=10)
LEASE_CHECK = timedelta(seconds=30)
GATE_CHECK = timedelta(seconds=5)
CHORE_CHECK = timedelta(seconds=20)
OUTSIDE_CHECK = timedelta(seconds=2)
_DUE = Prepared(
    lambda: (
        Execution.objects.filter(next_step_at__lte=Asked(Execution, "next_step_at"))
        .order_by("next_step_at")
        .values_list("pk")[:BATCH]
    )
)


class Sweep:
    """Lives as long as a beat. `nudge` offers a run to workers; `queued` tells how many tasks they have before them. A
    run that was offered and is still due at the next look is advanced here: delivery is never trusted. `collected`
    grows with each look for answers: of one that waits for many, too."""

    def __init__(
        self,
        *,
        clock: Clock = db_clock,
        nudge: Callable[[uuid.UUID], None] = lambda _: None,
        queued: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.clock = clock
        self.nudge = nudge
        self.queued = queued
        self.offered: dict[uuid.UUID, float] = {}  # until when a run is left to the workers
        self.collected = 0
        self.pool = CallPool()
        self.poller = Poller(self.pool, clock)
        self.details = DetailsReader(self.pool, clock)
        self.next_inventory_check: datetime | None = None
        self.next_seal_check: datetime | None = None
        self.next_head_check: datetime | None = None
        self.next_stall_check: datetime | None = None
        self.asks_since: datetime | None = None
        self.next_lease_check: datetime | None = None
        self.next_outside_check: datetime | None = None
        self.next_gate_check: datetime | None = None
        self.next_chore_check: datetime | None = None
        self.chores: list[Chore] = [_keep_copies, *(import_string(name) for name in settings.ENGINE_CHORES)]

    def once(self) -> None:
        """Sweep. Idle: three queries. With any number of unchanged polls: a fixed number."""
        now = self.clock()
        _isolated(partial(self.poller.start, now))
        self._step([pk for (pk,) in _DUE.rows(next_step_at=now)])
        self.collect()
        _isolated(partial(self._refresh_inventory, now))
        _isolated(partial(self._seal, now))
        _isolated(partial(self._tell_head, now))
        _isolated(failed_aws_calls.keep)
        _isolated(partial(self._mark_stalled, now))
        _isolated(partial(self._look_at_leases, now))
        _isolated(partial(self._end_outside, now))
        _isolated(partial(self._look_at_gates, now))
        _isolated(partial(self._do_chores, now))

    def collect(self, max_wait: float = MAX_WAIT_SECONDS) -> None:
        """Go on with whatever AWS has answered; what is news of runs makes them go on."""
        self.collected += 1
        self.pool.collect(max_wait, INLINE_SECONDS)
        news, self.poller.news = self.poller.news, []
        self._step(news)

    def rest(self, seconds: float) -> None:
        """Until the next sweep: go on with every answer as it comes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.pool.under_way:
                self.collect(left)
            else:
                time.sleep(left)

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self.pool.under_way or self.poller.news)

    def drain(self) -> None:
        """Finish what is under way, without asking for anything new."""
        while self.is_busy:
            self.collect(max_wait=1.0)

    def close(self) -> None:
        """End the threads without waiting for AWS."""
        self.pool.close()

    def _step(self, due: Sequence[uuid.UUID]) -> None:
        """Advance what is due: some by idle workers, all that they leave or have no time for here, for a while."""
        until = time.monotonic() + INLINE_SECONDS
        for pk in self._without_offered(due):
            self.pool.start(step_calls(pk, self.clock))
            if time.monotonic() > until:
                return

    def _without_offered(self, due: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
        """Offer a few to the workers, if they have nothing else to do; what is left."""
        began = time.monotonic()
        self.offered = {pk: until for pk, until in self.offered.items() if until > began - FORGOTTEN_AFTER}
        fresh = [pk for pk in due if pk not in self.offered]
        room = OFFERED_TO_WORKERS if fresh and self.queued() == 0 else 0
        for pk in fresh[:room]:
            self.nudge(pk)
            self.offered[pk] = began + LEFT_TO_WORKERS
        return [pk for pk in due if self.offered.get(pk, 0.0) <= time.monotonic()]

    def _refresh_inventory(self, now: datetime) -> None:
        """Start reading regions whose servers were not read for a while, and weigh a few plans."""
        if self.next_inventory_check is not None and now < self.next_inventory_check:
            return
        self.next_inventory_check = now + INVENTORY_CHECK
        every = timedelta(seconds=settings.INVENTORY_SECONDS)
        claimed = inventory.claim_due_places(now, every=every)
        for place in claimed:
            self.pool.start(_read_region(place, self.clock, self.details))
        self.details.go_on(without=claimed)
        stored_verdicts.refresh(now)

    def _seal(self, now: datetime) -> None:
        """Seal the journal's new entries now and then, and tell of them; at once again after a whole batch."""
        if self.next_seal_check is None or now >= self.next_seal_check:
            self.next_seal_check = now + SEAL_CHECK
            if sealing.seal() == sealing.BATCH or telling.tell(now, _plans_of) == telling.BATCH:
                self.next_seal_check = now

    def _mark_stalled(self, now: datetime) -> None:
        """What no engine has asked for, AWS has not kept silent about: before a run is called stalled it is asked for
        three polls, since an answer may take longer than one."""
        due = self.next_stall_check
        if due is not None and now < due:
            return
        self.next_stall_check = now + timedelta(seconds=settings.POLL_SECONDS)
        if self.asks_since is None or due is None or due < stalled_before(now):
            self.asks_since = now
        mark_stalled(now, was_asked=self.asks_since <= stalled_before(now))

    def _look_at_leases(self, now: datetime) -> None:
        if self.next_lease_check is None or now >= self.next_lease_check:
            self.next_lease_check = now + LEASE_CHECK
            for execution in leases.due(now):
                self.pool.start(leases.look(execution, self.clock))

    def _end_outside(self, now: datetime) -> None:
        if self.next_outside_check is None or now >= self.next_outside_check:
            self.next_outside_check = now + OUTSIDE_CHECK
            for place, rows in outside_instances.start_due(now):
                self.pool.start(outside_instances.go_on(place, rows, self.clock))

    def _look_at_gates(self, now: datetime) -> None:
        if self.next_gate_check is None or now >= self.next_gate_check:
            self.next_gate_check = now + GATE_CHECK
            waiting.look(now)

    def _do_chores(self, now: datetime) -> None:
        if self.next_chore_check is None or now >= self.next_chore_check:
            self.next_chore_check = now + CHORE_CHECK
            for chore in self.chores:
                for calls in chore(now, self.clock):
                    self.pool.start(calls)

    def _tell_head(self, now: datetime) -> None:
        if self.next_head_check is None or now >= self.next_head_check:
            self.next_head_check = now + HEAD_CHECK
            journal_head.tell(now)


def _isolated(work: Callable[[], object]) -> None:
    """Run a part of the sweep on its own: an error in it does not stop the others."""
    try:
        work()
    except Exception as error:  # whatever it is: the other runs must go on, and it is tried again
        if is_outage(error):
            raise
        log.exception("Part of a sweep failed; the rest continues")


def _keep_copies(now: datetime, clock: Clock) -> Iterable[AwsCalls[None]]:
    """What DRS has of plans is kept by one installation: of two whoever was taken over from keeps out of it."""
    return () if installation.own().superseded_by else kept.look(now, clock)


def _read_region(place: inventory.Place, clock: Clock, details: DetailsReader) -> AwsCalls[None]:
    """The servers of an account's region; and if it answers, which instances and jobs run there, and the details of a
    few servers."""
    way, region = place
    reading: inventory.Reading = yield partial(inventory.fetch, region, way, reading="poller")
    if inventory.keep(reading) is not None:
        details.hold(place)
        return
    account = reading.account
    installation.notice(reading.servers, clock())
    yield from _read_instances(region, account, clock)
    native_runs.keep((yield partial(native_runs.fetch, region, account)))
    if rights.is_due(region, account, clock()):
        with_actions = rights.have_actions(region, account)
        found: rights.Found = yield partial(rights.fetch, region, account, with_actions=with_actions)
        rights.keep(region, account, found, clock())
    jobs: Sequence[Job] | DrsError = yield partial(launch_details.fetch_jobs, region, account, clock())
    if isinstance(jobs, DrsError):
        launch_details.note_trouble(region, account, jobs)
        details.hold(place)
        return
    launch_details.keep_jobs(region, account, jobs, clock())
    details.begin(place, account)
    if asked := capacity.due(region, account, clock()):
        room: capacity.Capacity = yield partial(capacity.fetch, region, account, asked)
        capacity.keep(region, account, room, clock())


def _read_instances(region: str, account: str, clock: Clock) -> AwsCalls[None]:
    """A region's recovery instances, what others did to those of runs, and who launched those that are new. Whether
    DRS tells them or not, the rest of the round goes on."""
    found: recovery_instances.Reading = yield partial(recovery_instances.fetch, region, account)
    recovery_instances.keep(found)
    unknown = recovery_instances.unknown_jobs(region, account) if found.error is None else []
    if unknown:
        launches: Sequence[Job] | DrsError = yield partial(launch_details.fetch_launches, region, account, unknown)
        if not isinstance(launches, DrsError):
            recovery_instances.keep_jobs(region, account, unknown, launches)
    if found.error is None:
        yield from outside_changes.note_changes(found, clock)
        cleanup_proof.prove(found, clock())


def _plans_of(runs: Collection[str]) -> dict[str, uuid.UUID | None]:
    """The plan of each of these runs, as far as it still has one."""
    ids = []
    for each in runs:
        try:
            ids.append(uuid.UUID(each))
        except ValueError:  # what is about several runs names none
            continue
    return {str(pk): plan for pk, plan in Execution.objects.filter(pk__in=ids).order_by().values_list("pk", "plan_id")}
