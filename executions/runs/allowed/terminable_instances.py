"""Instances of a run that can be terminated: they came up, are not known to be gone, and no termination covers them."""

import uuid
from collections import Counter
from collections.abc import Collection

from django.db.models import Count

from executions.models import Execution, ServerRun, TerminationJob
from executions.querysets import STANDING
from executions.states import JobStatus, TerminationStatus


def terminable_servers(execution: Execution) -> list[ServerRun]:
    """The servers whose instances can be asked to be terminated, in the order of their waves."""
    covered = {instance for _, instance in covered_instances([execution.pk])}
    launched = ServerRun.launches.filter(STANDING, wave__execution=execution)
    servers = launched.prefetch_related("wave", "job").order_by("wave__number", "position")
    return [each for each in servers if each.recovery_instance_id not in covered]


def terminable_counts(executions: Collection[Execution]) -> dict[uuid.UUID, int]:
    """How many there are of each run that has any. One query, and two more if instances are being terminated."""
    keys = [each.pk for each in executions]
    launched = ServerRun.launches.filter(STANDING, wave__execution__in=keys).order_by()
    counts = Counter(dict(launched.values_list("wave__execution_id").annotate(Count("pk"))))
    ending = [each.pk for each in executions if each.termination_status == TerminationStatus.IN_PROGRESS]
    if ending:
        covered = covered_instances(ending)
        up = launched.filter(wave__execution__in=ending)
        for key, instance in up.values_list("wave__execution_id", "recovery_instance_id"):
            counts[key] -= (key, instance) in covered
    return dict(+counts)


def covered_instances(executions: Collection[uuid.UUID]) -> set[tuple[uuid.UUID, str]]:
    """Run and instance of whatever a termination under way covers."""
    jobs = TerminationJob.objects.filter(execution__in=executions).order_by()
    under_way = jobs.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED])
    return {(key, each) for key, ids in under_way.values_list("execution_id", "instance_ids") for each in ids}
