"""What people did at the gates of runs."""

from django.db import models

from executions.models.run import WaveRun
from executions.states import GateAct


class GateEntry(models.Model):
    """One thing that was done at a gate. It belongs to the pause that began at `paused_at`: another pause before the
    same wave asks anew."""

    wave = models.ForeignKey(WaveRun, on_delete=models.CASCADE, related_name="gate_entries")
    paused_at = models.DateTimeField()
    act = models.CharField(max_length=11, choices=GateAct.choices())
    at = models.DateTimeField()
    by = models.CharField(max_length=254)
    by_id = models.CharField(max_length=520, blank=True, help_text="Who it is, whatever their name is by now")
    text = models.TextField(blank=True, help_text="The comment or the reason")
    checklist = models.JSONField(default=list, help_text="Which items were ticked, from 0")
    digest = models.CharField(max_length=64, blank=True, help_text="Of what was looked at")
    looked_at = models.JSONField(null=True, help_text="What was looked at, of whoever let the run go on or approved it")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.wave}: {self.act.lower()} by {self.by}"

    @property
    def state(self) -> GateAct:
        """What was done, with its label and tone."""
        return GateAct.of(self.act)

    @property
    def is_by_person(self) -> bool:
        """Whether somebody did it, and no engine."""
        return bool(self.by_id)

    @property
    def is_approval(self) -> bool:
        """Whether it counts for the gate, as long as it has not lapsed."""
        return self.act == GateAct.APPROVED
