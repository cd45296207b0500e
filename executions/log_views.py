"""The job logs of a run: by wave, plain words beside the code of DRS, and as text to keep."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from executions.feed import is_failure, words
from executions.models import Execution, JobEvent, LaunchJob
from protection.pages import HtmxHttpRequest, wants_fragment

LINES_SHOWN = 300


@dataclass(frozen=True)
class LogLine:
    """One event of a job, beside the name of its server."""

    event: JobEvent
    hostname: str

    @property
    def text(self) -> str:
        return words(self.event.event)

    @property
    def is_failure(self) -> bool:
        return bool(self.error) or is_failure(self.event.event)

    @property
    def error(self) -> str:
        return str(self.event.data.get("rawError") or "")


@dataclass(frozen=True)
class JobLog:
    """One DRS job with its lines, oldest first; `hidden` older ones are only in the download."""

    job: LaunchJob
    lines: list[LogLine]
    hidden: int
    errors: int


def _jobs(execution: Execution) -> list[LaunchJob]:
    jobs = LaunchJob.objects.filter(wave__execution=execution).select_related("wave")
    jobs = jobs.prefetch_related("events", "servers").order_by("wave__number", "position")
    return [job for job in jobs if job.job_id or job.error_message]


def _lines(job: LaunchJob) -> list[LogLine]:
    names = {server.source_server_id: server.hostname for server in job.servers.all()}
    return [
        LogLine(event, names.get(event.source_server_id, event.source_server_id) or "the job")
        for event in job.events.all()
    ]


def _log(job: LaunchJob, *, errors_only: bool) -> JobLog:
    lines = _lines(job)
    failures = [line for line in lines if line.is_failure]
    chosen = failures if errors_only else lines
    return JobLog(job, chosen[-LINES_SHOWN:], max(0, len(chosen) - LINES_SHOWN), len(failures))


@require_safe
def job_logs(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The logs that DRS wrote, wave by wave."""
    execution = get_object_or_404(Execution, pk=execution_id)
    errors_only = "errors" in request.GET
    logs = [_log(job, errors_only=errors_only) for job in _jobs(execution)]
    context = {"execution": execution, "logs": logs, "errors_only": errors_only}
    template = "executions/_logs.html" if wants_fragment(request) else "executions/job_logs.html"
    return render(request, template, context)


@require_safe
def job_logs_text(request: HttpRequest, execution_id: uuid.UUID) -> StreamingHttpResponse:
    """Everything, as a file."""
    execution = get_object_or_404(Execution, pk=execution_id)
    response = StreamingHttpResponse(_text(execution), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="job-logs-{execution.pk}.txt"'
    return response


def _text(execution: Execution) -> Iterator[str]:
    yield f"{execution.purpose.label} of {execution.plan_name}, {execution.pk}, {execution.state.label}\n"
    for job in _jobs(execution):
        yield f"\nWave {job.wave.number + 1}, {job.wave.name}: {job.job_id or 'no job'} in {job.region}\n"
        if job.error_message:
            yield f"{job.error_code} {job.error_message}\n"
        for line in _lines(job):
            at = line.event.at.isoformat(timespec="seconds")
            parts = [at, line.event.event, line.hostname, line.event.source_server_id, line.error]
            yield "\t".join(parts).rstrip() + "\n"
