"""A run and everything that belongs to it. The row is the workflow: engines only advance what stands here."""

from executions.models.drs_jobs import JobEvent, LaunchJob, OutsideTermination, TerminationJob
from executions.models.engine_rows import AwsErrors, Pacemaker, Place, PlanReadiness
from executions.models.holds import ServerHold
from executions.models.run import Execution, ServerRun, WaveRun

__all__ = [
    "AwsErrors",
    "Execution",
    "JobEvent",
    "LaunchJob",
    "OutsideTermination",
    "Pacemaker",
    "Place",
    "PlanReadiness",
    "ServerHold",
    "ServerRun",
    "TerminationJob",
    "WaveRun",
]
