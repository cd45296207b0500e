"""What runs have in an AWS account that nobody may forget: launches under way, and instances that stand."""

from accounts.uses import Use
from executions.models import Execution, LaunchJob, ServerRun
from executions.querysets import STANDING


def runs_in(account_id: str) -> list[Use]:
    """The runs that could not be followed up, or cleaned up, without the account."""
    watched = LaunchJob.objects.filter(account_id=account_id, watched=True).order_by().values("wave__execution")
    standing = ServerRun.launches.filter(STANDING, job__account_id=account_id).order_by().values("wave__execution")
    runs = Execution.objects.filter(pk__in=watched.union(standing)).newest_first()
    return [Use("a run of", str(pk), name) for pk, name in runs.values_list("pk", "plan_name")]
