"""A run whose servers are in one AWS account while the credentials are of another, or of nobody knows whose.

Nothing is sent and nothing concluded; the run says so and goes on by itself when the credentials are right again.
"""

from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import transaction

from contract.clock import Clock
from drs import account, roles
from drs.errors import OTHER_ACCOUNT, SUPERSEDED, SWITCHED_OFF, DrsError, where
from executions.models import LaunchJob, WaveRun
from executions.runs import decide as d
from executions.runs import transitions
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run
from executions.runs.silence.unresponsive_regions import is_unsaved
from executions.states import JobStatus

# The calls of which a run says that they are not answered only because a launch waits for them.
BEFORE_A_LAUNCH = ("DescribeRecoveryInstances", "DescribeSourceServers", "TagResource", "StartRecovery")
MAX_DOUBLINGS = 2  # of the time between two looks at the credentials: it costs AWS nothing


def is_elsewhere(aws_error: str) -> bool:
    """Whether a run waits for credentials of its own account. `aws_error` is the text of a DrsError, or of several."""
    return f": {OTHER_ACCOUNT}: " in aws_error


def is_switched_off(aws_error: str) -> bool:
    """Whether a run waits for an account that an administrator has switched off."""
    return f": {SWITCHED_OFF}: " in aws_error


def is_taken_over(aws_error: str) -> bool:
    """Whether nothing of a run is launched because another installation of this product has taken over."""
    return f": {SUPERSEDED}: " in aws_error


def aws_words(aws_error: str) -> str:
    """Why a run waits for AWS, for people: AWS's words, or ours where AWS is not to blame."""
    if is_elsewhere(aws_error) or is_switched_off(aws_error) or is_taken_over(aws_error):
        return without_call(aws_error)
    return aws_error if is_unsaved(aws_error) else f"AWS: {aws_error}"


def without_call(aws_error: str) -> str:
    """The same without the call that was not made: a sentence for people."""
    code = next((each for each in (SWITCHED_OFF, SUPERSEDED) if f": {each}: " in aws_error), OTHER_ACCOUNT)
    return aws_error.partition(f": {code}: ")[2] or aws_error


def waits_for_credentials(run: Run, wave: WaveRun, job: LaunchJob, clock: Clock) -> AwsCalls[bool]:
    """Before a launch is even intended: True when its account is not known to be that of the credentials. It is due
    again soon, and for as long as that takes."""
    try:
        if not account.is_known(job.account_id, job.region):
            yield partial(account.check, job.region, job.account_id)
    except DrsError as error:
        wait_for_answer(run, wave, job, error, clock())
        return True
    if _is_about(run.execution.aws_error, job) and not transitions.is_watched(run.execution):
        run.write(clock(), failures=0, failing_since=None, aws_error="")
    return False


def _is_about(aws_error: str, job: LaunchJob) -> bool:
    """Whether a run waited for the credentials of this job's account; it may wait for another one's, too."""
    return account.OPERATION in aws_error or (roles.OPERATION in aws_error and job.account_id in aws_error)


def no_longer_waits(run: Run, job: LaunchJob, now: datetime) -> None:
    """AWS has told what had to be known before this launch: what the run says of that is over. Raises ClaimLost."""
    place = where(job.region, job.account_id if roles.role_of(job.account_id) else "")
    if any(f"{each} in {place}: " in run.execution.aws_error for each in BEFORE_A_LAUNCH):
        run.write(now, failures=0, failing_since=None, aws_error="")


def wait_for_answer(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, now: datetime) -> None:
    """Of a launch that was not intended yet, what must be known first was not told: it is asked again soon."""
    failures, since = run.execution.failures, run.execution.failing_since or now
    later = now + d.backoff(min(failures, MAX_DOUBLINGS), settings.POLL_SECONDS)
    status = d.running_status(wave.state, cancelled=False)
    with transaction.atomic():
        run.write(now, status=status, failures=failures + 1, failing_since=since, aws_error=str(error))
        LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED).update(not_before=later)
        transitions.touch(run.execution, now)
