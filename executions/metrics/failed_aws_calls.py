"""How often calls to AWS failed: what each process counts (`drs.failed_call_counts`) is added up in the database."""

from django.db import Error as DatabaseTrouble
from django.db import transaction
from django.db.models import F

from drs import failed_call_counts
from executions.models import AwsErrors


def keep() -> None:
    """Add what this process counted to what the database has. Costs nothing while nothing failed."""
    if failed_call_counts.is_empty():
        return
    counts = failed_call_counts.take()
    try:
        with transaction.atomic():
            for code, operation, region in sorted(counts):
                _add(code[:64], operation[:64], region[:32], counts[code, operation, region])
    except DatabaseTrouble:
        failed_call_counts.give_back(counts)
        raise


def _add(code: str, operation: str, region: str, count: int) -> None:
    row, _ = AwsErrors.objects.get_or_create(code=code, operation=operation, region=region)
    AwsErrors.objects.filter(pk=row.pk).update(count=F("count") + count)


def unreported() -> dict[str, int]:
    """Failed calls by code since this was last asked; of two who ask at once one is told."""
    found: dict[str, int] = {}
    for row in AwsErrors.objects.filter(count__gt=F("reported")):
        if AwsErrors.objects.filter(pk=row.pk, reported=row.reported).update(reported=row.count):
            found[row.code] = found.get(row.code, 0) + row.count - row.reported
    return found
