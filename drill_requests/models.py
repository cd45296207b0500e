"""Drills that somebody, mostly a program, has asked for, and that a person starts in the console, or not."""

import uuid
from datetime import datetime
from typing import Any

from django.db import models

from drill_requests.states import RequestState
from executions.models import Execution
from plans.models import RecoveryPlan


class DrillRequest(models.Model):
    """One request. It starts nothing: a person who confirms it does, once, before it expires."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not tied by the database, nor is the run: processes of the version before know nothing of it.
    plan = models.ForeignKey(RecoveryPlan, on_delete=models.CASCADE, related_name="drill_requests", db_constraint=False)
    dry_run = models.BooleanField(default=False)
    reason = models.CharField(max_length=500)
    asked_by = models.CharField(max_length=254)
    asked_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField()
    outcome = models.CharField(max_length=8, choices=RequestState.choices(), default=RequestState.OPEN.value)
    decided_by = models.CharField(max_length=254, blank=True)
    decided_at = models.DateTimeField(null=True)
    execution: Any = models.ForeignKey(
        Execution, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )

    plan_id: uuid.UUID

    class Meta:
        ordering = ["-asked_at", "id"]
        indexes = [models.Index(fields=["expires_at"], condition=models.Q(outcome="OPEN"), name="drill_request_open")]

    def __str__(self) -> str:
        return f"{'dry run' if self.dry_run else 'drill'} asked for by {self.asked_by}"

    def state(self, now: datetime) -> RequestState:
        stored = RequestState.of(self.outcome)
        return RequestState.EXPIRED if stored is RequestState.OPEN and self.expires_at <= now else stored
