"""The logs of a run's DRS jobs as the API shows them."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import unix
from contract.rest.schema import describes
from contract.rest.views import ApiView, read_id
from executions.commands import control
from executions.models import Execution, JobEvent, LaunchJob


class EventShape(TypedDict):
    logDateTime: int
    event: str
    sourceServerId: str | None
    hostname: str | None
    conversionServerId: str | None
    targetInstanceId: str | None
    derived: bool
    error: str | None


class JobLogShape(TypedDict):
    waveNumber: int
    waveName: str
    jobId: str | None
    accountId: str
    region: str
    events: list[EventShape]
    error: str | None


class JobLogsAnswer(TypedDict):
    """The logs of a run's DRS jobs, wave by wave."""

    executionId: str
    jobLogs: list[JobLogShape]


def show_job_logs(execution: Execution) -> list[JobLogShape]:
    """The log of every job that DRS has or has refused, wave by wave, oldest line first."""
    jobs = (
        LaunchJob.objects.filter(wave__execution=execution)
        .select_related("wave")
        .prefetch_related("events", "servers")
        .order_by("wave__number", "position")
    )
    return [_job_log(job) for job in jobs if job.job_id or job.error_message]


def _job_log(job: LaunchJob) -> JobLogShape:
    names = {server.source_server_id: server.hostname for server in job.servers.all()}
    return JobLogShape(
        waveNumber=job.wave.number,
        waveName=job.wave.name,
        jobId=job.job_id or None,
        accountId=job.account_id,
        region=job.region,
        events=[_event(event, names.get(event.source_server_id)) for event in job.events.all()],
        error=job.error_message or None,
    )


def _event(event: JobEvent, hostname: str | None) -> EventShape:
    data = event.data
    return EventShape(
        logDateTime=unix(event.at),
        event=event.event,
        sourceServerId=event.source_server_id or None,
        hostname=hostname,
        conversionServerId=data.get("conversionServerID") or None,
        targetInstanceId=data.get("targetInstanceID") or None,
        derived=event.derived,
        error=data.get("rawError") or None,
    )


class JobLogs(ApiView):
    """The DRS job logs of a run, by wave."""

    @describes("getJobLogs", "Get the DRS job logs of a run", answers={200: JobLogsAnswer}, refusals=["NOT_FOUND"])
    def get(self, request: Request, execution_id: str) -> Response:
        execution = control.get(read_id(execution_id, "execution", "executionId"))
        return Response(JobLogsAnswer(executionId=str(execution.pk), jobLogs=show_job_logs(execution)))
