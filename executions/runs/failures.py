"""Everything that went wrong in a run, told once: what failed, where, AWS's own text, and the code that explains it."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from executions.codes.explain import is_sum
from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import LaunchStatus

Told = TypeVar("Told")
NO_REASON = "AWS gave no reason."
NAMED = 5  # of what one cause struck; the waves list the others
# What differs in AWS's words from server to server, although the cause is one: ids, addresses of requests, times.
_PARTICULAR = re.compile(r"\b(?:[a-z]{1,12}-)?[0-9a-f]{8,}(?:-[0-9a-f]{4,12})*\b|\b\d[\d:.TZ-]{7,}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Failure:
    """Something that went wrong. `wave` is its number, None of what is the whole run's; `text` may be empty. `region`
    is where, of what happened in one."""

    wave: int | None
    what: str
    text: str
    code: str
    region: str = ""


def by_cause(told: Iterable[Told], failure: Callable[[Told], Failure]) -> list[list[Told]]:
    """What has one cause, together, in the order of the first of each. Page and report show it so."""
    found: dict[tuple[int | None, str, str], list[Told]] = {}
    for each in told:
        one = failure(each)
        found.setdefault((one.wave, one.code, _PARTICULAR.sub("…", one.text)), []).append(each)
    return list(found.values())


def named(struck: Sequence[str]) -> str:
    """What a cause struck, as far as it is named at once."""
    return ", ".join(struck[:NAMED])


def others(struck: Sequence[str]) -> int:
    """How many more it struck."""
    return len(struck[NAMED:])


@dataclass(frozen=True)
class WaveFailures:
    """A wave with its launches, without those that were split, and those of its servers that failed."""

    run: WaveRun
    jobs: Sequence[LaunchJob]
    servers: Sequence[ServerRun]


def failures_of(execution: Execution, waves: Sequence[WaveFailures]) -> Iterator[Failure]:
    """The run's own first, unless its waves or servers tell it; then wave by wave."""
    told = {"", *(each.run.error_message for each in waves)}
    rehearsed = execution.dry_run and any(each.servers for each in waves)
    if execution.error_message not in told and not rehearsed:
        yield Failure(None, "The run", execution.error_message, execution.error_code)
    for wave in waves:
        yield from _of_wave(wave)


class FailedServer(Protocol):
    """What `code_of` looks at: a row, or what a list reads of it."""

    @property
    def launch_status(self) -> str: ...
    @property
    def error_code(self) -> str: ...


def code_of(server: FailedServer, job: LaunchJob) -> str:
    """Our code of what went wrong with a server; empty of one that has not failed."""
    if server.launch_status != LaunchStatus.FAILED:
        return ""
    return server.error_code or job.error_code or Code.SERVER_LAUNCH_FAILED.value


def _of_wave(wave: WaveFailures) -> Iterable[Failure]:
    run, number = wave.run, wave.run.number
    refused = {job.pk: job.error_code for job in wave.jobs if job.error_code}
    regions = {job.pk: job.region for job in wave.jobs}
    own = Code.SERVER_LAUNCH_FAILED.value if run.error_code in refused.values() else run.error_code
    found = [
        Failure(
            number,
            each.hostname,
            each.error,
            each.error_code or refused.get(each.job_id, own),
            regions.get(each.job_id, ""),
        )
        for each in wave.servers
    ]  # the code of a refused launch is not every server's
    told = {run.error_message, *(each.text for each in found)}
    found += [
        Failure(
            number,
            f"Job {job.job_id or job.position + 1} in {job.region}",
            job.error_message,
            job.error_code,
            job.region,
        )
        for job in wave.jobs
        if job.error_message and job.error_message not in told
    ]
    told = {each.text for each in found}
    if run.error_message and run.error_message not in told and (not found or not is_sum(run.error_code)):
        found.insert(0, Failure(number, run.name, run.error_message, run.error_code))
    return found
