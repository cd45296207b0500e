"""How runs are read: by these words, and each finds its index."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from executions.models import Execution  # noqa: F401 # named below, in a string


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """How runs are read."""

    def active(self) -> "ExecutionQuerySet":
        """Runs that are not over."""
        return self.filter(ended_at=None)

    def final(self) -> "ExecutionQuerySet":
        """Runs that are over."""
        return self.filter(ended_at__isnull=False)  # in these words SQLite finds the index

    def newest_first(self) -> "ExecutionQuerySet":
        """The order of every list and of its cursor."""
        return self.order_by("-started_at", "-id")

    def with_waves(self) -> "ExecutionQuerySet":
        """Runs with their waves, servers and jobs, in a fixed number of queries."""
        return self.prefetch_related("waves__servers", "waves__jobs")

    def with_jobs(self) -> "ExecutionQuerySet":
        """Runs with their waves and jobs, without the servers, of which there may be many."""
        return self.prefetch_related("waves__jobs")
