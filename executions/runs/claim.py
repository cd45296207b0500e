"""A claimed run: its rows, the token that proves the claim, and what `decide` needs to see of it.

Whoever works on a run holds its claim, a fencing token with a lease. Every write is guarded by it: zero rows
updated means that a person or another engine has taken the run over, and this one stops (`ClaimLost`). A crash leaves
a row that simply becomes due again.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Least

from contract.storage.prepared import Asked, Prepared, PreparedUpdate
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.querysets import SPLIT
from executions.runs import decisions as d
from executions.runs.current_wave import WAVES_OF_RUN
from executions.runs.gates.asked import Gate, gates_in_force
from executions.states import Dependents, InstanceState, JobStatus, LaunchStatus
from plans.models import OnFailure

# Columns of a wave's run that are large and nothing that the engine decides by, for `defer`.
LARGE_COLUMNS = tuple(f"wave__execution__{column}" for column in ("plan_copy", "rehearsal", "phase_times"))
LEASE = timedelta(seconds=settings.LEASE_SECONDS)
ASLEEP = timedelta(days=1000)  # what is due later never is: runs of a copy that nobody has put back properly yet


_TAKE = PreparedUpdate(
    lambda: Execution.objects.filter(
        pk=Asked(Execution, "id"), next_step_at__lte=Asked(Execution, "next_step_at", "due")
    ),
    "claim",
    "next_step_at",
)
_CLAIMED = Prepared(lambda: Execution.objects.filter(pk=Asked(Execution, "id"), claim=Asked(Execution, "claim")))
_OF_WAVE = Asked(WaveRun, "id")
_JOBS = Prepared(lambda: LaunchJob.objects.filter(wave=_OF_WAVE).exclude(SPLIT).order_by("position"))
_SERVERS = Prepared(
    lambda: (
        ServerRun.objects.filter(wave=_OF_WAVE, excluded__isnull=True)
        .exclude(job__status=JobStatus.WITHDRAWN)
        .values_list("optional", "launch_status", "launched_at")
    )
)
_LAUNCHED = Prepared(
    lambda: ServerRun.objects.filter(wave=_OF_WAVE, launch_status=LaunchStatus.LAUNCHED).select_related("job")
)


class ClaimLost(Exception):
    """The claim was taken by somebody else: stop, and write nothing more."""


@dataclass
class Run:
    """A claimed run: its row, its waves, and the token that proves the claim."""

    execution: Execution
    waves: list[WaveRun]
    token: uuid.UUID

    @property
    def view(self) -> d.RunView:
        """The run as `decide` wants it, with jobs and servers of the current wave."""
        run = replace(
            waves_view(self.execution, self.waves),
            cancelled=self.execution.cancel_requested_at is not None,
            pause_requested=self.execution.pause_requested_at is not None,
            left_out=bool(self.execution.left_out),
            restored=self.execution.restored_at is not None,
            unconfirmed_launches=self.execution.restored_at is not None
            and unconfirmed_launches(self.execution).exists(),
        )
        current = run.current
        if current is None:
            launched = ServerRun.objects.filter(wave__execution=self.execution, launch_status=LaunchStatus.LAUNCHED)
            return replace(run, any_launched=launched.exists())
        filled = _with_jobs(self.waves[current.number], current)
        return replace(run, waves=tuple(filled if each is current else each for each in run.waves))

    def write(self, now: datetime, **columns: object) -> None:
        """Write to the run's row and renew the lease, or raise ClaimLost."""
        held = Execution.objects.filter(pk=self.execution.pk, claim=self.token)
        if not held.update(**{"next_step_at": now + LEASE, **columns}):
            raise ClaimLost
        for name, value in columns.items():
            setattr(self.execution, name, value)

    def release(self, at: datetime | None, **columns: object) -> None:
        """Let the run rest until `at`, or not at all if there has been news since it was loaded; somebody else may have
        taken it meanwhile, which is fine."""
        held = Execution.objects.filter(pk=self.execution.pk, claim=self.token)
        if columns:
            columns |= {"revision": F("revision") + 1}
        if not held.filter(news=self.execution.news).update(claim=None, next_step_at=at, **columns):
            held.update(claim=None, next_step_at=F("next_step_at") - LEASE, **columns)  # at the last write: it is due


def unconfirmed_launches(execution: Execution) -> QuerySet[LaunchJob]:
    """Launches of which it is not known whether they were sent."""
    return LaunchJob.objects.filter(wave__execution=execution, status=JobStatus.INITIATED, job_id="")


def waves_view(execution: Execution, waves: Sequence[WaveRun]) -> d.RunView:
    """A run as far as its waves tell."""
    return d.RunView(execution.state, tuple(map(_wave_view, waves, gates_in_force(waves))))


def _wave_view(wave: WaveRun, gate: Gate | None) -> d.WaveView:
    return d.WaveView(
        number=wave.number,
        status=wave.state,
        pause_before=wave.pause_before or (gate is not None and gate.approvals > 0),
        pause_limit=gate.expires if gate else d.PAUSE_LIMIT,
        paused_at=wave.paused_at,
        resumed=wave.resumed_at is not None,
        wait=timedelta(minutes=wave.wait_minutes_before),
        starts_at=wave.starts_at,
        asked_at=wave.asked_at,
        answered=wave.answered_at is not None,
        runs_dependents=bool(wave.skipped and wave.skipped["dependents"] == Dependents.RUN),
        left_out=wave.skipped is not None,
        depends_on=tuple(wave.depends_on),
        on_failure=OnFailure(wave.on_failure),
        deadline_at=wave.deadline_at,
        asks_for_more=wave.means.needs_checks,
        check_limit=timedelta(minutes=wave.check_timeout_minutes),
    )


def _with_jobs(wave: WaveRun, view: d.WaveView) -> d.WaveView:
    jobs = _JOBS.objects(id=wave.pk)
    statuses = [(optional, _outcome(each, at)) for optional, each, at in _SERVERS.rows(id=wave.pk)]
    return replace(
        view,
        jobs=tuple(_job_view(job) for job in jobs),
        servers=tuple(each for optional, each in statuses if not optional),
        optional=tuple(each for optional, each in statuses if optional),
        unproven=tuple(each for _, each in unproven_servers(wave)),
    )


def _outcome(status: str, launched_at: datetime | None) -> LaunchStatus:
    """What had come up, and was terminated since by somebody else, had launched."""
    told = LaunchStatus.of(status)
    return told if launched_at is None else told.outcome


def unproven_servers(wave: WaveRun) -> list[tuple[ServerRun, d.UnprovenView]]:
    """Launched servers of a wave that are not up yet as it asks for, or not any more, because somebody has stopped
    them. No query where it asks for no more than that they launched."""
    if not wave.means.needs_checks:
        return []
    rows = _LAUNCHED.objects(id=wave.pk)
    return [(each, _unproven_view(each)) for each in rows if not each.is_up(wave.means) or _is_stopped(each)]


def _is_stopped(server: ServerRun) -> bool:
    return server.standing_state == InstanceState.STOPPED


def _unproven_view(server: ServerRun) -> d.UnprovenView:
    job = server.job
    launched = server.launched_at or job.completed_seen_at or job.intent_at or server.wave.execution.started_at
    told = bool(server.system_check and server.instance_check) or _is_stopped(server)  # then EC2 has no checks
    return d.UnprovenView(launched, job.seen_at or launched, told, job.completed_seen_at, job.watched)


def _job_view(job: LaunchJob) -> d.JobView:
    return d.JobView(
        key=job.pk,
        status=job.state,
        attempt=job.attempt,
        intent_at=job.intent_at,
        not_before=job.not_before,
        seen_at=job.seen_at,
        completed_seen_at=job.completed_seen_at,
        instances_seen_at=job.instances_seen_at,
        error_code=job.error_code,
        error_message=job.error_message,
        place=(job.account_id, job.region),
    )


def claim(execution_id: uuid.UUID, now: datetime) -> uuid.UUID | None:
    """Take a due run for a lease; None when it is not due, or somebody else was faster."""
    token = uuid.uuid4()
    return token if _TAKE.run(id=execution_id, due=now, claim=token, next_step_at=now + LEASE) else None


def wake(executions: Collection[uuid.UUID], now: datetime) -> None:
    """There is news of these runs: they are due, or as soon as whoever holds them lets go. Needs no claim."""
    if executions:
        runs = Execution.objects.filter(pk__in=executions)
        runs.update(news=F("news") + 1)
        resting = runs.filter(claim=None).exclude(next_step_at__gt=now + ASLEEP)
        resting.update(next_step_at=Least(Coalesce("next_step_at", now), now))


def load(execution_id: uuid.UUID, token: uuid.UUID) -> Run:
    """The claimed run, or ClaimLost."""
    execution = next(iter(_CLAIMED.objects(id=execution_id, claim=token)), None)
    if execution is None:
        raise ClaimLost
    waves = WAVES_OF_RUN.objects(id=execution_id)
    for wave in waves:
        wave.execution = execution
    return Run(execution, waves, token)
