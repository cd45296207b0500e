"""The last look before a launch: DRS ends the instance that a server has before it launches the server anew.

A start asks what runs (`commands.production`); what was launched since, by whomever, is seen only here. A drill leaves
such a server out, and waits while DRS does not answer. A recovery goes on, and the journal says what it replaces, or
that nobody knows.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from contract.clock import Clock
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import RecoveryInstance
from executions.codes.ours import Code
from executions.launching.refusals import Part, leave_out
from executions.models import Execution, LaunchJob, WaveRun
from executions.runs.account_check import wait_for_answer
from executions.runs.attempts import attempts_among
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run
from executions.runs.journal import note


def spares_production(run: Run, wave: WaveRun, job: LaunchJob, servers: Sequence[str], clock: Clock) -> AwsCalls[bool]:
    """Before a launch is intended: True when it may be sent with all these servers, and the job knows what stood then.
    Else it waits, has nothing left to launch, or has lost some of its servers and is to be looked at again. Raises
    ClaimLost."""
    is_recovery = run.execution.purpose.is_recovery
    job.stood_before = None
    try:
        listed = yield partial(Drs(job.region, job.account_id, reading="guard").recovery_instances, servers)
    except DrsError as error:
        if is_recovery:
            _note(run, wave, job, "launch.unchecked", outcome=Code.PRODUCTION_NOT_CHECKED, text=str(error))
            return True
        wait_for_answer(run, wave, job, error, clock())
        return False
    job.stood_before = sorted(each.recovery_instance_id for each in listed)
    in_the_way = _not_agreed(run.execution, listed, servers)
    if not in_the_way:
        return True
    if is_recovery:
        ids = [each.recovery_instance_id for each in in_the_way]
        _note(run, wave, job, "launch.replaces", instances=ids)
        return True
    leave_out(run, wave, job, [_part(each) for each in in_the_way], clock())
    return False


def _not_agreed(
    execution: Execution, listed: Iterable[RecoveryInstance], servers: Sequence[str]
) -> list[RecoveryInstance]:
    """What may be production among these, one a server, but for what whoever started the run let go and for what the
    run's own attempts have launched."""
    agreed = set(execution.agreed_instances or ())
    found = {
        each.source_server_id: each
        for each in listed
        if each.may_be_production and not agreed & {each.recovery_instance_id, each.source_server_id}
    }
    if not found:
        return []
    attempts = attempts_among(execution).values("pk")
    ours = LaunchJob.objects.filter(wave__execution__in=attempts, job_id__in=[each.job_id for each in found.values()])
    jobs = set(ours.exclude(job_id="").values_list("job_id", flat=True))
    return [found[each] for each in servers if each in found and found[each].job_id not in jobs]


def _part(instance: RecoveryInstance) -> Part:
    why = (
        f"which is replicated back ({instance.failback_state}) and may run production"
        if instance.is_protected
        else "that was launched since the run was started and may run production"
    )
    text = (
        f"Not launched: AWS would first have terminated {instance.recovery_instance_id}, a recovery instance of this"
        f" server {why}."
    )
    return Part([instance.source_server_id], Code.PRODUCTION_RUNNING, text)


def _note(run: Run, wave: WaveRun, job: LaunchJob, verb: str, outcome: str = "ok", **facts: Any) -> None:
    note(run.execution, verb, outcome=outcome, wave=wave.number, launch=str(job.pk), region=job.region, **facts)
