"""Where the numbers of runs come from."""

import uuid

from django.db import models


class RunNumber(models.Model):
    """One number that was given to a run. Its key is the number: the database counts, and gives none twice, whoever
    starts how many runs at a time. A start that fails leaves a gap."""

    id = models.AutoField(primary_key=True)
    execution_id = models.UUIDField(unique=True)

    def __str__(self) -> str:
        return str(self.pk)


def called(number: int | None, execution_id: uuid.UUID | None) -> str:
    """What people call a run; a process of the release before gives no number, an engine does soon."""
    return f"run {number or str(execution_id)[:8]}"
