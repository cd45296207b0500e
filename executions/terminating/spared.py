"""What nothing but a person may end: asked of DRS right before an engine terminates instances by itself."""

from collections.abc import Collection, Sequence
from functools import partial

from audit.actor import ENGINE
from drs.client import Drs
from drs.shapes import RecoveryInstance
from executions.models import ServerHold, ServerRun, TerminationJob
from executions.runs.aws_calls import AwsCalls
from executions.states import Kind, kind_by_drs
from executions.terminating.instances import GONE, Place

MAY_BE_PRODUCTION = (
    "Left alone: by DRS it is no drill’s any more, or somebody replicates it back. It may run production."
)
IN_USE = "A run uses their servers: DRS would launch none of them meanwhile. It is asked for when that run has ended."


def is_by_engine(job: TerminationJob) -> bool:
    """Whether no person asked for it: a lease was over."""
    return job.requested_by == ENGINE.name


def kinds(place: Place, servers: Sequence[ServerRun]) -> AwsCalls[dict[str, str]]:
    """What DRS calls each of these servers' instances that it lists with the job by which this run launched them: a
    drill's, a recovery's, or UNKNOWN; but for those that somebody replicates back. Raises DrsError."""
    if not servers:
        return {}
    listed = yield from _listed(place, [each.source_server_id for each in servers])
    launches = {(each.recovery_instance_id, each.job.job_id) for each in servers if each.recovery_instance_id}
    return {
        each.recovery_instance_id: kind_by_drs(each.is_drill)
        for each in listed
        if not each.is_protected and (each.recovery_instance_id, each.job_id) in launches
    }


def held_servers(servers: Collection[str]) -> set[str]:
    """Those that a run holds now."""
    held = ServerHold.objects.filter(assignment__source_server_id__in=servers)
    return set(held.values_list("assignment__source_server_id", flat=True))


def held_instances(job: TerminationJob) -> set[str]:
    """The instances of a request of an engine's whose servers a run holds: no cleaning keeps a launch waiting."""
    held = held_servers(job.server_ids) if is_by_engine(job) else ()
    return {instance for instance, server in zip(job.instance_ids, job.server_ids, strict=True) if server in held}


def spared(job: TerminationJob) -> AwsCalls[set[str]]:
    """The instances of a request of an engine's, which has waited, that may not be ended any more. Raises DrsError."""
    if not is_by_engine(job):
        return set()
    listed = yield from _listed((job.account_id, job.region), job.server_ids)
    may_go = {
        each.recovery_instance_id
        for each in listed
        if kind_by_drs(each.is_drill) == Kind.DRILL and not each.is_protected
    }
    return {each.recovery_instance_id for each in listed} & set(job.instance_ids) - may_go


def _listed(place: Place, servers: Sequence[str]) -> AwsCalls[list[RecoveryInstance]]:
    account, region = place
    listed = yield partial(Drs(region, account, reading="guard").recovery_instances, servers)
    return [each for each in listed if each.ec2_state not in GONE]
