"""The job logs of a run: by wave, plain words beside the code of DRS, as they grow, and as text to keep."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING

from console.pages import HtmxHttpRequest, known_revision, wants_fragment
from contract.clock import utc
from contract.names import visible
from drsorch_verify.derive import span
from executions.console.live_page.event_feed import is_failure, words
from executions.models import Execution, JobEvent, LaunchJob

LINES_SHOWN = 300
POLL_SECONDS, LATE_POLL_SECONDS = 3, 15  # while the run goes on, and for late news of one that is over


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

    @property
    def has_begun(self) -> bool:
        return _has_begun(self.job)

    @property
    def clock(self) -> str:
        """By how much AWS's clock, whose times these are, is not ours; empty where it is."""
        return _clock(self.job)


def _clock(job: LaunchJob) -> str:
    ahead = job.aws_ahead_seconds
    if not ahead:
        return ""
    differs = f"AWS’s clock is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} ours, at least."
    return f"{differs} These times are AWS’s own, derived ones are ours. The run’s page tells all of them by our clock."


def _has_begun(job: LaunchJob) -> bool:
    return bool(job.job_id or job.error_message)


def _jobs(execution: Execution, since: int = 0) -> list[LaunchJob]:
    """The jobs of the waves that changed after the run's revision `since`, with their events and servers."""
    jobs = LaunchJob.objects.filter(wave__execution=execution, wave__revision__gt=since).select_related("wave")
    return list(jobs.prefetch_related("events", "servers").order_by("wave__number", "position"))


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
    context = _context(request, _run(execution_id))
    template = "executions/_logs.html" if wants_fragment(request) else "executions/job_logs.html"
    return render(request, template, context)


def _run(execution_id: uuid.UUID) -> Execution:
    """Without what is long and not shown here."""
    runs = Execution.objects.defer("plan_copy", "rehearsal", "phase_times", "forecast")
    return get_object_or_404(runs, pk=execution_id)


def _context(request: HttpRequest, execution: Execution, since: int = 0) -> dict[str, Any]:
    """The run is read before its jobs: what they show may be newer than its revision, never older."""
    errors_only = "errors" in request.GET
    return {
        "execution": execution,
        "logs": [_log(job, errors_only=errors_only) for job in _jobs(execution, since)],
        "has_begun": LaunchJob.objects.filter(wave__execution=execution).exclude(job_id="", error_message="").exists(),
        "errors_only": errors_only,
        "poll_seconds": _poll_seconds(execution),
    }


def _poll_seconds(execution: Execution) -> int:
    """How often its page asks again; 0 when DRS owes no more news of it."""
    if execution.ended_at is None:
        return POLL_SECONDS
    return LATE_POLL_SECONDS if execution.next_step_at else 0


@require_safe
def job_logs_live(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The logs of the jobs that have news since the revision that the page shows, 204 without any, 286 at the end."""
    if not request.htmx:
        return redirect("job-logs", execution_id)
    execution = _run(execution_id)
    since = known_revision(request)
    if since == execution.revision and _poll_seconds(execution):
        return HttpResponse(status=204)
    context = {**_context(request, execution, since), "is_poll": True}
    parts = [render_to_string(f"executions/{part}.html", context) for part in ("_logs_state", "_logs_none")]
    parts += [render_to_string("executions/_log.html", {**context, "log": log}) for log in context["logs"]]
    return HttpResponse("".join(parts), status=200 if context["poll_seconds"] else HTMX_STOP_POLLING)


@require_safe
def job_logs_text(request: HttpRequest, execution_id: uuid.UUID) -> StreamingHttpResponse:
    """Everything, as a file."""
    execution = get_object_or_404(Execution, pk=execution_id)
    response = StreamingHttpResponse(_text(execution), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="job-logs-{execution.pk}.txt"'
    return response


def _text(execution: Execution) -> Iterator[str]:
    """A line each: no name and no error text of AWS can pass for a line of its own, or steer a terminal."""
    yield _line(f"{execution.purpose.label} of {execution.plan_name}, {execution.pk}, {execution.state.label}")
    for job in filter(_has_begun, _jobs(execution)):
        yield "\n"
        yield _line(f"Wave {job.wave.number + 1}, {job.wave.name}: {job.job_id or 'no job'} in {job.region}")
        if job.error_message:
            yield _line(f"{job.error_code} {job.error_message}")
        if told := _clock(job):
            yield _line(told)
        for line in _lines(job):
            at = utc(line.event.at)
            parts = [at, line.event.event, line.hostname, line.event.source_server_id, line.error]
            yield _line(*parts)


def _line(*cells: str) -> str:
    return "\t".join(map(visible, cells)).rstrip() + "\n"
