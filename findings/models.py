"""What a test of recovery has found, until it is put right, and who vouches for a run.

The database ties neither to its run nor to its plan: processes of the version before delete those, too.
"""

import uuid
from datetime import date
from typing import Any

from django.db import models
from django.db.models import Q, QuerySet

from contract.rights import Reach
from executions.models import Execution
from findings.states import Severity, State
from plans.models import RecoveryPlan


class FindingQuerySet(models.QuerySet["Finding"]):
    """How findings are read."""

    def seen_by(self, reach: Reach) -> "FindingQuerySet":
        """Those of plans that somebody sees."""
        if reach.everywhere:
            return self
        return self.filter(plan__in=RecoveryPlan.objects.order_by().seen_by(reach).values("pk"))

    def in_account(self, account_id: str) -> "FindingQuerySet":
        """Those of plans with a group of that AWS account."""
        return self.filter(plan__in=RecoveryPlan.objects.order_by().in_account(account_id).values("pk"))

    def so(self, state: State, today: date) -> "FindingQuerySet":
        """Those that are so today; what is overdue is open, too."""
        match state:
            case State.CLOSED:
                return self.filter(closed_at__isnull=False)
            case State.OPEN:
                return self.filter(closed_at=None)
            case _:
                return self.filter(closed_at=None, due__lt=today)

    def newest_first(self) -> "FindingQuerySet":
        """The order of every list and of its cursor."""
        return self.order_by("-filed_at", "-pk")


class Finding(models.Model):
    """Something that a run has shown, or that is known of a plan, and somebody has to put right."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan: Any = models.ForeignKey(
        RecoveryPlan, null=True, on_delete=models.SET_NULL, related_name="filed_findings", db_constraint=False
    )
    plan_name = models.CharField(max_length=128)
    execution: Any = models.ForeignKey(
        Execution, null=True, on_delete=models.SET_NULL, related_name="filed_findings", db_constraint=False
    )
    run_number = models.PositiveIntegerField(null=True)
    text = models.TextField()
    owner = models.CharField(max_length=254, help_text="Who puts it right")
    due = models.DateField(null=True)
    severity = models.CharField(max_length=6, choices=Severity.choices())
    filed_by = models.CharField(max_length=254)
    filed_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=254, blank=True)
    closed_reason = models.TextField(blank=True)
    closed_by_run = models.UUIDField(null=True, help_text="The run that showed that it is put right")
    closed_by_run_number = models.PositiveIntegerField(null=True)
    version = models.PositiveIntegerField(default=1, db_default=1)

    objects = FindingQuerySet.as_manager()
    plan_id: uuid.UUID | None
    execution_id: uuid.UUID | None

    class Meta:
        ordering = ["-filed_at", "-id"]
        indexes = [
            models.Index(fields=["-filed_at", "-id"], name="finding_newest"),
            models.Index(fields=["plan"], condition=Q(closed_at=None), name="finding_open"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def level(self) -> Severity:
        """The severity with its label and tone."""
        return Severity.of(self.severity)

    def state_on(self, today: date) -> State:
        """Where it is."""
        if self.closed_at is not None:
            return State.CLOSED
        return State.OVERDUE if self.due is not None and self.due < today else State.OPEN

    @property
    def told_run(self) -> str:
        """Its run as people call it; empty where it is of a plan."""
        return f"run {self.run_number}" if self.run_number else "a run" if self.execution_id else ""


class SignOff(models.Model):
    """A person vouches for a finished run: once, with what they looked at."""

    execution: Any = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="sign_offs", db_constraint=False
    )
    by = models.CharField(max_length=254)
    by_id = models.CharField(max_length=520)
    at = models.DateTimeField()
    looked_at = models.TextField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["execution", "by_id"], name="sign_off_once")]

    def __str__(self) -> str:
        return f"{self.by}: {self.looked_at[:80]}"


def of_run(execution: Execution) -> "QuerySet[Finding]":
    """The findings of a run, in the order in which they were filed."""
    return Finding.objects.filter(execution=execution).order_by("filed_at", "pk")
