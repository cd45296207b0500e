"""Servers that stand as pending, and will never be launched."""

from typing import TYPE_CHECKING

from executions.states import ExecutionStatus, JobStage, WaveStage

if TYPE_CHECKING:
    from executions.models.drs_jobs import LaunchJob
    from executions.models.run import Execution, WaveRun


def why_skipped(run: "Execution", wave: "WaveRun") -> str:
    """Why nothing of a wave was launched, nor is any more; empty where that is not so."""
    if wave.state.was_skipped:
        text = wave.status_message or "Its wave was skipped."
        return f"Not launched: {text[:1].lower()}{text[1:]}"
    if run.state is ExecutionStatus.CANCELLING and wave.state.stage is WaveStage.AHEAD:
        return "Not launched: the run was cancelled before this wave."
    return ""


def why_not_launched(run: "Execution", wave: "WaveRun", job: "LaunchJob") -> str:
    """Why servers of a launch that are not settled are not launched any more: neither was AWS asked, nor will it be.
    Empty where that is not so."""
    if run.dry_run:
        return ""
    over = wave.state.is_final or run.state is ExecutionStatus.CANCELLING
    if job.state.stage is JobStage.NEVER or (over and job.state.stage is JobStage.WAITS):
        who = "the run was cancelled" if run.cancel_requested_at else "its wave was given up"
        return (
            why_skipped(run, wave) or f"Not launched: {who} before {'AWS took it' if job.intent_at else 'it was sent'}."
        )
    return why_skipped(run, wave) if job.job_id == "" and job.state.stage is not JobStage.SENT else ""
