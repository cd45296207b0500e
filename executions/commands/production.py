"""Production that a start would end: before DRS launches a server, it terminates the recovery instance that it has.

Two witnesses say what that is. Our rows know what runs of ours launched as a recovery, also while it has no id yet; the
inventory knows what DRS lists, whoever launched it: in DRS's console, by one of its own plans, or by a run that is no
longer in our rows. What is not known to be a drill's counts as production. Who starts a run over it, drill or recovery,
needs the right to terminate recoveries, and says that it may go.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import Q

from audit.actor import Actor
from contract.chunks import chunks
from contract.clock import unix
from contract.errors import Conflict
from contract.plurals import counted
from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, ServerRun
from executions.models.run_number import called
from executions.querysets import STANDING
from executions.states import JOB_MAY_RUN, UNSETTLED, JobStatus, Kind, LaunchStatus
from protection.inventory import recovery_instances
from protection.inventory.recovery_instances import InstancesKnown
from protection.models import ProtectionGroup, RecoveryInstance, SourceServer

END_RECOVERIES = "executions.terminate_recovery"
ENDED = "endsRecoveryInstances"  # what whoever started a run let go, in the journal
NAMED = 3  # how many instances a sentence names


class InstanceShape(TypedDict):
    """A production instance as a refusal names it."""

    recoveryInstanceId: str | None
    sourceServerId: str
    hostname: str
    launchedBy: str | None
    since: int | None


@dataclass(frozen=True)
class ProductionInstance:
    """A recovery instance that a launch of its server would end and that may be production. Without an id it may yet
    come up, or DRS has not named it."""

    source_server_id: str
    hostname: str
    recovery_instance_id: str
    is_up: bool
    launched_by: str = ""
    since: datetime | None = None
    execution_id: uuid.UUID | None = None

    @property
    def id(self) -> str:
        """Its own, or its server's while it has none."""
        return self.recovery_instance_id or self.source_server_id

    @property
    def shape(self) -> InstanceShape:
        return InstanceShape(
            recoveryInstanceId=self.recovery_instance_id or None,
            sourceServerId=self.source_server_id,
            hostname=self.hostname,
            launchedBy=self.launched_by or None,
            since=unix(self.since) if self.since else None,
        )


@dataclass(frozen=True)
class Consent:
    """What somebody who starts a run was told of production, and whether it may be replaced."""

    looked: InstancesKnown = field(default_factory=InstancesKnown)
    replace: bool = False


def production(server_ids: Sequence[str], attempts: Collection[uuid.UUID] = ()) -> list[ProductionInstance]:
    """What a launch of these servers would end of production, as far as our rows and the inventory know, in the order
    of the servers. `attempts` are the runs that are being tried again: what they launched is in no run's way."""
    ours, listed = _ours(server_ids, attempts), _listed(server_ids, attempts)
    named = {each.recovery_instance_id for each in ours}
    known = {each.source_server_id for each in listed}  # with their ids: a server has one instance at a time
    ours = [each for each in ours if each.recovery_instance_id or each.source_server_id not in known]
    listed = [each for each in listed if each.recovery_instance_id not in named]
    place = {server: number for number, server in enumerate(server_ids)}
    return sorted([*ours, *listed], key=lambda each: place[each.source_server_id])


def _ours(server_ids: Sequence[str], attempts: Collection[uuid.UUID]) -> list[ProductionInstance]:
    """Recovery instances of runs that are up, and those that may still launch of launches that no run waited for."""
    coming = Q(launch_status__in=UNSETTLED) & (Q(job__watched=True) | Q(job__status__in=JOB_MAY_RUN))
    # Given up, perhaps: DRS ended the job and left the server open, and is asked for it on.
    coming |= Q(launch_status=LaunchStatus.FAILED, job__status=JobStatus.COMPLETED, job__watched=True)
    rows = ServerRun.launches.filter(STANDING | coming)
    rows = rows.filter(wave__execution__kind=Kind.RECOVERY).exclude(wave__execution__in=list(attempts)).order_by("pk")
    columns = (
        "source_server_id", "hostname", "recovery_instance_id", "launch_status", "launched_at",
        "wave__execution_id", "wave__execution__plan_name", "wave__execution__number",
    )  # fmt: skip
    return [
        ProductionInstance(
            source_server_id=server,
            hostname=hostname,
            recovery_instance_id=instance,
            is_up=LaunchStatus.of(status) is LaunchStatus.LAUNCHED or bool(instance),
            launched_by=of_run(Kind.RECOVERY, plan, called(number, run)),
            since=launched_at,
            execution_id=run,
        )
        for chunk in chunks(server_ids)
        for server, hostname, instance, status, launched_at, run, plan, number in rows.filter(
            source_server_id__in=chunk
        ).values_list(*columns)
    ]


def _listed(server_ids: Sequence[str], attempts: Collection[uuid.UUID]) -> list[ProductionInstance]:
    """What DRS last listed of these servers and does not call a drill's, but for what a run has terminated since."""
    found = recovery_instances.production(server_ids)
    ended = ended_since(found)
    jobs = _jobs(sorted({each.job_id for each in found if each.job_id}))
    servers = sorted({each.source_server_id for each in found})
    names = {
        pk: name
        for chunk in chunks(servers)
        for pk, name in SourceServer.objects.filter(pk__in=chunk).values_list("pk", "name")
    }
    listed = []
    for each in found:
        run = jobs.get(each.job_id)
        if each.pk in ended or (run is not None and run.execution_id in attempts):
            continue
        listed.append(
            ProductionInstance(
                source_server_id=each.source_server_id,
                hostname=names.get(each.source_server_id, each.source_server_id),
                recovery_instance_id=each.pk,
                is_up=True,
                launched_by=run.words if run else launched_outside(each),
                since=each.launched_at,
                execution_id=run.execution_id if run else None,
            )
        )
    return listed


def ended_since(found: Sequence[RecoveryInstance]) -> set[str]:
    """Which of these DRS itself named as terminated after it listed them: the inventory is read once a minute."""
    if not found:
        return set()
    seen = {each.pk: each.seen_at for each in found}
    gone = ServerRun.launches.filter(launch_status=LaunchStatus.TERMINATED, terminated_at__gte=min(seen.values()))
    return {
        instance
        for chunk in chunks(sorted({each.source_server_id for each in found}))
        for instance, at in gone.filter(source_server_id__in=chunk).values_list("recovery_instance_id", "terminated_at")
        if instance in seen and at is not None and at >= seen[instance]
    }


@dataclass(frozen=True)
class _Launch:
    execution_id: uuid.UUID
    words: str


def _jobs(job_ids: Sequence[str]) -> dict[str, _Launch]:
    """The launches of ours among these DRS jobs."""
    columns = ("job_id", *(f"wave__execution__{name}" for name in ("id", "kind", "plan_name", "number")))
    return {
        job: _Launch(run, of_run(Kind.of(kind), plan, called(number, run)))
        for chunk in chunks(job_ids)
        for job, run, kind, plan, number in LaunchJob.objects.filter(job_id__in=chunk).values_list(*columns)
    }


def of_run(kind: Kind, plan_name: str, run_called: str) -> str:
    """Who launched an instance that a run did."""
    return f"{kind.label} of {plan_name}, {run_called}"


def launched_outside(instance: RecoveryInstance | None) -> str:
    """Not from here: the job says how, as long as DRS knows it."""
    if instance is None or not instance.job_id:
        return ""
    how = f" ({instance.initiated_by})" if instance.initiated_by else ""
    return f"outside this product, DRS job {instance.job_id}{how}"


def digest(found: Iterable[ProductionInstance]) -> str:
    """What a page says that it has shown, so that nobody agrees to the end of more than they saw."""
    return hashlib.sha256(" ".join(sorted(each.id for each in found)).encode()).hexdigest()


def in_words(found: Sequence[ProductionInstance]) -> str:
    """How many of these there are, and the first ones by name."""
    up = sum(each.is_up for each in found)
    running = [counted(up, "running recovery instance")] if up else []
    coming = [f"{counted(len(found) - up, 'recovery instance')} that may still launch"] if up < len(found) else []
    named = [f"{each.hostname} {each.id}" if each.hostname != each.id else each.id for each in found[:NAMED]]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{' and '.join(running + coming)} ({', '.join(named)}{more})"


# Before a start


def look_at_plan(plan_id: uuid.UUID) -> InstancesKnown:
    """Have DRS asked anew which instances run where this plan launches."""
    return recovery_instances.look(places_of_plan(plan_id), believed=recovery_instances.ANEW)


def look_at_run(execution: Execution) -> InstancesKnown:
    """The same, where this run has launched."""
    return recovery_instances.look(places_of_run(execution), believed=recovery_instances.ANEW)


def places_of_plan(plan_id: uuid.UUID) -> list[recovery_instances.Place]:
    """The accounts and regions in which a plan launches."""
    groups = ProtectionGroup.objects.filter(waves__plan=plan_id).order_by()
    return list(groups.values_list("account_id", "region").distinct())


def places_of_run(execution: Execution) -> list[recovery_instances.Place]:
    """The accounts and regions in which a run launches."""
    jobs = LaunchJob.objects.filter(wave__execution=execution).order_by()
    return list(jobs.values_list("account_id", "region").distinct())


def require_ending(
    actor: Actor, kind: Kind, server_ids: Sequence[str], consent: Consent, attempts: Collection[uuid.UUID] = ()
) -> dict[str, Any]:
    """Whether these servers may be launched over what runs of them; answers what the journal says of that.

    Raises Forbidden, and Conflict (PRODUCTION_RUNNING) without consent, both naming the instances; and, of a drill, why
    DRS could not be asked. A recovery is for the day on which AWS does not answer: it is only noted.
    """
    found = production(server_ids, attempts)
    run, detail = kind.label.lower(), dict[str, Any]()
    if found:
        named = {"instances": [each.shape for each in found]}
        words = in_words(found)
        actor.require(END_RECOVERIES, f"start this {run}: AWS would first terminate {words}", details=named)
        if not consent.replace:
            text = (
                f"AWS would first terminate {words}, which may run production. To start this {run} all the same, send"
            )
            raise Conflict(Code.PRODUCTION_RUNNING, f"{text} replaceProduction: true.", details=named)
        detail |= {ENDED: [each.id for each in found], "replaceProduction": True}
    if consent.looked.silent:
        if not kind.is_recovery:
            raise next(iter(consent.looked.silent.values()))
        told = consent.looked.unlisted
        detail["productionNotChecked"] = {recovery_instances.in_words(place): text for place, text in told.items()}
    if untold := consent.looked.native_untold:
        detail["nativeNotChecked"] = {recovery_instances.in_words(place): text for place, text in untold.items()}
    return detail
