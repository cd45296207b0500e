"""Which servers active runs have."""

from django.db import models

from executions.models.run import Execution
from protection.models import ServerAssignment


class ServerHold(models.Model):
    """A server is in at most one active run: the primary key says so."""

    assignment = models.OneToOneField(
        ServerAssignment,
        on_delete=models.PROTECT,
        to_field="source_server_id",
        db_column="source_server_id",
        primary_key=True,
        related_name="hold",
    )
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="holds")
    wave_number = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.assignment_id} held by {self.execution_id}"
