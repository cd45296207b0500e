"""Runs and the engine in the admin: to look at; what can be done with a run is done by its services."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.actor import Actor
from audit.journaled_admin import ReadOnly, report_each
from executions.commands import control
from executions.commands.abandon import abandon
from executions.models import AwsErrors, Execution, LaunchJob, OutsideTermination, Pacemaker, TerminationJob, WaveRun

COMMENT = "Through the admin site."


def _cancel(actor: Actor, run: Any) -> None:
    control.cancel(actor=actor, execution_id=run.pk, comment=COMMENT)


def _resume(actor: Actor, run: Any) -> None:
    control.resume(actor=actor, execution_id=run.pk, comment=COMMENT)


def _abandon(actor: Actor, run: Any) -> None:
    abandon(actor=actor, execution_id=run.pk, comment=COMMENT)


@admin.register(Execution)
class ExecutionAdmin(ReadOnly):
    list_display = ["plan_name", "kind", "status", "started_by", "started_at", "ended_at", "next_step_at", "aws_error"]
    list_filter = ["status", "kind", "dry_run", ("hidden_at", admin.EmptyFieldListFilter)]
    search_fields = ["plan_name", "started_by"]
    actions = ["cancel", "resume", "abandon"]

    @admin.action(description="Cancel the selected runs")
    def cancel(self, request: HttpRequest, runs: "QuerySet[Execution]") -> None:
        report_each(self, request, runs, _cancel, "cancel asked for")

    @admin.action(description="Resume the selected runs")
    def resume(self, request: HttpRequest, runs: "QuerySet[Execution]") -> None:
        report_each(self, request, runs, _resume, "resumed")

    @admin.action(description="Give up on AWS's answer for the selected runs")
    def abandon(self, request: HttpRequest, runs: "QuerySet[Execution]") -> None:
        report_each(self, request, runs, _abandon, "given up")


@admin.register(WaveRun)
class WaveRunAdmin(ReadOnly):
    list_display = ["execution", "number", "name", "status", "started_at", "deadline_at", "ended_at", "error_code"]
    list_filter = ["status"]


@admin.register(LaunchJob)
class LaunchJobAdmin(ReadOnly):
    list_display = ["id", "wave", "region", "status", "attempt", "intent_at", "job_id", "error_code"]
    list_filter = ["status", "region"]
    search_fields = ["job_id"]


@admin.register(TerminationJob)
class TerminationJobAdmin(ReadOnly):
    list_display = ["id", "execution", "region", "status", "requested_by", "intent_at", "job_id", "error_code"]
    list_filter = ["status", "region"]


@admin.register(Pacemaker)
class PacemakerAdmin(ReadOnly):
    list_display = ["holder", "until", "beat_at"]


@admin.register(AwsErrors)
class AwsErrorsAdmin(ReadOnly):
    list_display = ["code", "operation", "region", "count"]
    list_filter = ["code", "region"]


@admin.register(OutsideTermination)
class OutsideTerminationAdmin(ReadOnly):
    list_display = [
        "instance_id",
        "hostname",
        "region",
        "status",
        "requested_by",
        "requested_at",
        "job_id",
        "error_code",
    ]
    list_filter = ["status", "region"]
    search_fields = ["instance_id", "job_id"]
