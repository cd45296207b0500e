"""A run and everything that belongs to it. The row is the workflow: engines only advance what stands here."""

from executions.models.drs_jobs import JobEvent, LaunchJob, OutsideTermination, TerminationJob
from executions.models.engine_rows import AwsErrors, Installation, Pacemaker, Place, PlanReadiness
from executions.models.gates import GateEntry
from executions.models.holds import ServerHold
from executions.models.run import Execution, ServerRun, WaveRun
from executions.models.run_number import RunNumber

__all__ = [
    "AwsErrors",
    "Execution",
    "GateEntry",
    "Installation",
    "JobEvent",
    "LaunchJob",
    "OutsideTermination",
    "Pacemaker",
    "Place",
    "PlanReadiness",
    "RunNumber",
    "ServerHold",
    "ServerRun",
    "TerminationJob",
    "WaveRun",
]
