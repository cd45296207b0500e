"""How runs are read: by these words, and each finds its index."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef, Q

from contract.rights import Reach
from executions.codes.ours import Code
from executions.states import JobStatus, LaunchStatus
from plans.models import RecoveryPlan

if TYPE_CHECKING:
    from executions.models import Execution, LaunchJob, ServerRun  # noqa: F401 # one is named below, in a string

# A launch that was refused as a whole, and whose servers went on in jobs of their own: its row launches nothing.
SPLIT = Q(status=JobStatus.REJECTED, error_code="")

# Servers whose instances stand, as far as is known: also one that launched and did not come up.
STANDING = Q(launch_status=LaunchStatus.LAUNCHED) | Q(
    ~Q(recovery_instance_id=""),
    ~Q(instance_state__in=["TERMINATED", "NOT_FOUND", "SHUTTING-DOWN"]),
    launch_status=LaunchStatus.FAILED,
    error_code=Code.NOT_USABLE,
)

# Servers that came up, whether or not their instances have ended since.
CAME_UP = Q(launch_status=LaunchStatus.LAUNCHED) | Q(launch_status=LaunchStatus.TERMINATED, launched_at__isnull=False)


def stands(server: "ServerRun") -> bool:
    """The same of a row that was read."""
    is_gone = server.instance_state in ("TERMINATED", "NOT_FOUND", "SHUTTING-DOWN")
    not_usable = server.launch_status == LaunchStatus.FAILED and server.error_code == Code.NOT_USABLE
    launched = server.launch_status == LaunchStatus.LAUNCHED
    return launched or (not_usable and bool(server.recovery_instance_id) and not is_gone)


def is_split(job: "LaunchJob") -> bool:
    """Whether the servers of a launch went on in other jobs."""
    return job.state is JobStatus.REJECTED and not job.error_code


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """How runs are read."""

    def active(self) -> "ExecutionQuerySet":
        """Runs that are not over."""
        return self.filter(ended_at=None)

    def final(self) -> "ExecutionQuerySet":
        """Runs that are over."""
        return self.filter(ended_at__isnull=False)  # in these words SQLite finds the index

    def shown(self) -> "ExecutionQuerySet":
        """Runs that lists show, unless somebody asks for those that were hidden."""
        return self.filter(hidden_at=None)

    def hidden(self) -> "ExecutionQuerySet":
        """Runs that somebody has cleared from the lists."""
        return self.filter(hidden_at__isnull=False)

    def seen_by(self, reach: Reach) -> "ExecutionQuerySet":
        """Runs of plans that somebody sees."""
        if reach.everywhere:
            return self
        return self.filter(plan__in=RecoveryPlan.objects.order_by().seen_by(reach).values("pk"))

    def in_account(self, account_id: str) -> "ExecutionQuerySet":
        """Runs that have servers of that AWS account."""
        same = self.model._base_manager.filter(pk=OuterRef("pk"), waves__jobs__account_id=account_id)
        return self.filter(Exists(same))

    def newest_first(self) -> "ExecutionQuerySet":
        """The order of every list and of its cursor."""
        return self.order_by("-started_at", "-id")

    def with_waves(self) -> "ExecutionQuerySet":
        """Runs with their waves, servers and jobs, in a fixed number of queries."""
        return self.prefetch_related("waves__servers", "waves__jobs")

    def with_jobs(self) -> "ExecutionQuerySet":
        """Runs with their waves and jobs, without the servers, of which there may be many."""
        return self.prefetch_related("waves__jobs")
