"""Schedules of drills, and what became of each drill that was due."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models

from executions.models import Execution
from plans.models import RecoveryPlan
from schedules.common_rules import told
from schedules.occurrences import Calendar
from schedules.states import Outcome

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class Schedule(models.Model):
    """Drills of a plan by calendar. `next_at` is what engines go by; null: none is to come, or it is switched off."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="schedules")
    rule = models.CharField(max_length=255, help_text="RFC 5545, such as FREQ=MONTHLY;BYDAY=1SU")
    starts_on = models.DateField(help_text="The first day that may have one")
    time = models.TimeField(help_text="In the time zone of the schedule")
    time_zone = models.CharField(max_length=64)
    blackouts = models.JSONField(default=list, help_text="Days without drills: from, to (both included)")
    enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    next_at = models.DateTimeField(null=True)
    try_at = models.DateTimeField(null=True, help_text="Until then an engine tries it, or has tried in vain")
    told_for = models.DateTimeField(null=True, help_text="The drill that people were told of beforehand")
    problem = models.TextField(blank=True, help_text="Why the drill that is due has not started yet")

    occurrences: "RelatedManager[Occurrence]"
    plan_id: uuid.UUID

    class Meta:
        ordering = ["plan__name_key", "created_at", "id"]
        indexes = [models.Index(fields=["next_at"], condition=models.Q(next_at__isnull=False), name="schedule_due")]

    def __str__(self) -> str:
        return f"{self.rule} at {self.time:%H:%M} {self.time_zone}"

    @property
    def told_rule(self) -> str:
        """Its rule in words, where it is a common one."""
        return told(self.rule)

    @property
    def calendar(self) -> Calendar:
        return Calendar.of(self.rule, self.starts_on, self.time, self.time_zone, self.blackouts)

    @property
    def announced_for(self) -> datetime | None:
        """When the drill is to start that people were told of, as long as engines wait for it."""
        return self.next_at if self.told_for == self.next_at else None

    def after(self, moment: datetime) -> datetime | None:
        """When the next drill after this moment is."""
        return self.calendar.after(moment) if self.enabled else None


class Occurrence(models.Model):
    """A drill that was due. One row a time: of any number of engines one writes it."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="occurrences")
    at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=Outcome.choices())
    text = models.TextField(blank=True)
    execution: Any = models.ForeignKey(Execution, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["schedule", "at"], name="occurrence_once")]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.at}"

    @property
    def state(self) -> Outcome:
        """The outcome with its label and tone."""
        return Outcome.of(self.outcome)
