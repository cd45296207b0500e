"""Times in which no engine worked on a run: a run that goes on says so, for its report and whoever looked at it."""

from datetime import datetime

from django.db.models import F

from contract.clock import unix
from executions.models import Execution
from executions.runs.journal import note


def tell(since: datetime, until: datetime) -> None:
    """Note it of every run that was under way. In the transaction of the turn that ends it."""
    runs = Execution.objects.active().filter(started_at__lt=until).order_by()
    for execution in runs.only("started_at", "plan_name", "status", "kind"):
        Execution.objects.filter(pk=execution.pk).update(revision=F("revision") + 1)
        begun = max(since, execution.started_at)
        note(execution, "execution.unattended", since=unix(begun), until=unix(until))
