"""The event feed of a run: the job logs of DRS and our journal together, in words that a person says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from audit.models import AuditEntry
from console.templatetags.console import duration_text
from contract.clock import utc
from contract.plurals import counted
from contract.storage.prepared import Asked
from executions.models import Execution, JobEvent, ServerRun
from executions.states import ExecutionStatus
from executions.terminating.cleanup_proof import sentences

FEED_LINES = 30


@dataclass(frozen=True)
class Line:
    """One line of the event feed."""

    at: datetime
    text: str
    who: str
    code: str = ""
    is_failure: bool = False


# Plain words beside DRS's code.
EVENTS = {
    "JOB_START": "Job started",
    "JOB_END": "Job ended",
    "JOB_CANCEL": "Job cancelled",
    "SERVER_SKIPPED": "Server skipped",
    "CLEANUP_START": "Cleaning up the earlier launch",
    "CLEANUP_END": "Earlier launch cleaned up",
    "CLEANUP_FAIL": "Cleanup failed",
    "SNAPSHOT_START": "Taking a snapshot",
    "SNAPSHOT_END": "Snapshot taken",
    "SNAPSHOT_FAIL": "Snapshot failed",
    "USING_PREVIOUS_SNAPSHOT": "Using the previous snapshot",
    "USING_PREVIOUS_SNAPSHOT_FAILED": "No earlier snapshot could be used",
    "CONVERSION_START": "Conversion started",
    "CONVERSION_END": "Converted",
    "CONVERSION_FAIL": "Conversion failed",
    "LAUNCH_START": "Launching the instance",
    "LAUNCH_END": "Instance launched",
    "LAUNCH_FAILED": "Launch failed",
    "UPDATE_LAUNCH_TEMPLATE_START": "Updating the launch template",
    "UPDATE_LAUNCH_TEMPLATE_END": "Launch template updated",
    "UPDATE_LAUNCH_TEMPLATE_FAILED": "The launch template could not be updated",
    "NETWORK_RECOVERY_FAIL": "The network could not be recovered",
    "DEPLOY_NETWORK_CONFIGURATION_FAILED": "The network's configuration could not be deployed",
    "UPDATE_NETWORK_CONFIGURATION_FAILED": "The network's configuration could not be updated",
}

# What the journal's verbs say; the braces are filled by `_facts`.
VERBS = {
    "execution.start": "Started",
    "execution.retry": "Tried again, attempt {number}, {count} left to launch",
    "execution.pause": "Pause requested before the next wave",
    "execution.pause_withdrawn": "Pause withdrawn",
    "execution.paused": "Paused {place}",
    "execution.pause_expired": "The pause {place} expired",
    "execution.resume": "Resumed {place}",
    "execution.cancel": "Cancel requested",
    "gate.approved": "Approved {place}",
    "gate.declined": "Declined {place}: {reason}",
    "gate.lapsed": "Approvals {place} lapsed ({approvers})",
    "gate.reminded": "Reminded of the gate {place}",
    "gate.broken": "Break-glass: gate {place} passed without what it asks for: {reason}",
    "execution.abandon": "Gave up waiting for AWS",
    "execution.stalled": "AWS has told nothing of the run for three polls",
    "execution.heard_of": "AWS tells of the run again",
    "execution.unattended": "No engine worked on the run for {unattended}",
    "execution.ended": "Run ended: {ending}",
    "execution.evidence": "Evidence pack created",
    "execution.signed_off": "Signed off, having looked at: {looked_at}",
    "finding.filed": "Finding filed, for {owner}: {finding}",
    "finding.changed": "Finding changed, for {owner}: {finding}",
    "finding.closed": "Finding closed{closed}",
    "execution.restored": "Restored from a backup, checking AWS for launches made since",
    "execution.recounted": "AWS was checked for launches made since the backup",
    "execution.terminate": "Termination of {instances} requested",
    "launch.intent": "Sending the launch of {wave} to AWS in {region}{attempt}",
    "launch.sent": "AWS accepted the launch of {wave} in {region}",
    "launch.refused": "AWS did not accept the launch of {wave}, retrying",
    "launch.rejected": "AWS rejected the launch of {wave}",
    "launch.unclear": "AWS gave no clear answer to the launch of {wave}, looking for it",
    "launch.cleared": "AWS has no job of the unanswered launch of {wave}, sending it again",
    "launch.adopted": "The launch of {wave} in {region} was found at AWS{by}",
    "launch.split": "The servers of a launch of {wave} that AWS refused go on in {parts}",
    "launch.left_out": "Not launched with {wave}: {servers}",
    "launch.held": "{wave} waits with {servers}",
    "launch.replaces": "The launch of {wave} replaces {instances} that may be production",
    "launch.unchecked": "AWS did not say what the launch of {wave} replaces",
    "launch.news": "AWS reported more about the launch of {wave} in {region}",
    "launch.ended": "The launch of {wave} in {region} is fully recorded",
    "launch.doubled": "One launch has two DRS jobs ({jobs}): tell an administrator",
    "wave.started": "{wave} begins to launch",
    "wave.completed": "{wave} completed",
    "wave.failed": "{wave} failed",
    "wave.skipped": "{wave} skipped",
    "wave.retried": "{count} of {wave} launched again, attempt {number} of the wave",
    "wave.waits": "Waiting before {wave}, as the plan says",
    "wave.started_now": "The wait before {wave} was ended",
    "server.excluded": "Server {hostname} of {wave} left out",
    "terminate.sent": "AWS accepted the termination of {instances} in {region}",
    "terminate.waits": "The termination in {region} waits",
    "terminate.refused": "AWS refused to terminate instances in {region}",
    "terminate.split": "AWS refused to terminate several instances in {region} at once, retrying with the others",
    "terminate.gone": "Terminated: {instances} in {region}",
    "terminate.found_gone": "Already gone: {instances} in {region}",
    "terminate.unknown": "Unknown to DRS, may still run in EC2: {instances} in {region}",
    "lease.warned": "Lease ends soon: {instances} will be terminated",
    "lease.over": "{instances} outlived the lease",
    "lease.ended": "Lease over: termination of {instances} requested",
    "lease.extend": "Lease extended",
    "terminate.proved": "DRS was asked what is left of {instances}: {proof}",
    "instance.terminated": "{terminator} terminated {instances} in {region}: {names}",
    "instance.stopped": "Somebody stopped {instances} in {region}: {names}",
    "instance.running": "Running again: {instances} in {region}, {names}",
    "instance.left_drs": "DRS does not list {instances} in {region} any more, which may run on in EC2: {names}",
    "instance.protected": "Somebody protects {instances} in {region} with DRS ({state}): {names}",
    "instances.replaced": "A launch of {launcher} replaced {instances}",
    "terminate.ended": "Termination ended: {gone} terminated, {left} not",
}
# Verbs whose own text says more than the sentence.
EXPLAINED = {
    "execution.abandon",
    "launch.held",
    "launch.left_out",
    "launch.refused",
    "launch.rejected",
    "launch.unclear",
    "launch.unchecked",
    "wave.failed",
    "wave.skipped",
    "server.excluded",
    "gate.lapsed",
    "terminate.refused",
    "terminate.split",
    "terminate.waits",
}
BAD = {
    "lease.over",
    "launch.left_out",
    "launch.rejected",
    "launch.replaces",
    "launch.unchecked",
    "launch.doubled",
    "gate.broken",
    "gate.declined",
    "wave.failed",
    "terminate.refused",
    "terminate.unknown",
    "instance.terminated",
    "instance.stopped",
    "instance.left_drs",
    "execution.abandon",
    "execution.pause_expired",
    "execution.restored",
    "execution.unattended",
}


def words(code: str) -> str:
    """A code of DRS as a person says it; an unknown one is shown legibly."""
    return EVENTS.get(code, code.rpartition(".")[2].replace("_", " ").lower().capitalize())


def is_failure(code: str) -> bool:
    """Whether a code of DRS tells of a failure."""
    return code.endswith(("_FAIL", "_FAILED")) or code == "SERVER_SKIPPED"


def feed(execution: Execution) -> list[Line]:
    """What happened last, newest first."""
    lines = [*_events(execution), *(journal_line(each) for each in entries(execution)[:FEED_LINES])]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:FEED_LINES]


def entries(execution: Execution) -> QuerySet[AuditEntry]:
    """What the journal says of a run, refused attempts left out."""
    return entries_of(str(execution.pk))


def entries_of(execution_id: str | Asked) -> QuerySet[AuditEntry]:
    """The same by its key."""
    return AuditEntry.objects.filter(subject_kind="execution", subject_id=execution_id, refused=False)


def _events(execution: Execution) -> list[Line]:
    newest = JobEvent.objects.filter(job__wave__execution=execution).select_related("job__wave").order_by("-at", "-id")
    events = list(newest[:FEED_LINES])
    ids = {each.source_server_id for each in events}
    known = ServerRun.objects.filter(wave__execution=execution, source_server_id__in=ids)
    names = dict(known.values_list("source_server_id", "hostname").order_by())
    return [
        Line(
            each.at if each.derived else each.at - each.job.aws_ahead,
            words(each.event),
            names.get(each.source_server_id, each.source_server_id) or f"Wave {each.job.wave.number + 1}",
            each.event,
            is_failure(each.event),
        )
        for each in events
    ]


def journal_line(entry: AuditEntry) -> Line:
    """An entry of the journal about a run, as a sentence."""
    facts = _facts(entry)
    text = VERBS.get(entry.verb, words(entry.verb)).format_map(facts)
    if entry.detail.get("changed") is False:
        text += " again, which changed nothing"
    extra = entry.detail.get("comment") or (entry.detail.get("text") if entry.verb in EXPLAINED else "")
    if extra:
        text += f": “{extra}”" if entry.detail.get("comment") else f": {extra}"
    who = "by the engine" if entry.actor_kind == "engine" else f"by {entry.actor}"
    code = "" if entry.outcome == "ok" or entry.verb == "execution.ended" else entry.outcome
    bad = entry.verb in BAD or (entry.verb == "execution.ended" and entry.outcome == ExecutionStatus.FAILED)
    return Line(entry.at, text[:1].upper() + text[1:], who, code or entry.detail.get("jobId", ""), bad)


def told_in_journal(entry: AuditEntry) -> str:
    """The sentence of an entry about a run for the page of the journal; empty where there is none of its own."""
    return journal_line(entry).text if entry.verb in VERBS else ""


def _stretch(since: int | None, until: int | None) -> str:
    """How long something lasted, and from when to when."""
    if since is None or until is None:
        return "a time"
    begun, over = (utc(datetime.fromtimestamp(each, UTC)) for each in (since, until))
    return f"{duration_text(timedelta(seconds=until - since))}, from {begun} to {over}"


def _facts(entry: AuditEntry) -> dict[str, Any]:
    detail = entry.detail
    servers = detail.get("servers")  # a list of ids where some are left out, a count when a run is tried again
    skipped = detail.get("waves")  # a list of numbers here, a count when a run starts
    numbers = skipped if isinstance(skipped, list) else [detail.get("wave")]
    attempt = detail.get("attempt") or 1
    statuses = {each.value: each.label.lower() for each in ExecutionStatus}
    return {
        "wave": _waves([number for number in numbers if isinstance(number, int)]),
        "place": _place(detail),
        "reason": detail.get("reason", ""),
        "looked_at": detail.get("lookedAt", ""),
        "owner": detail.get("owner", ""),
        "finding": detail.get("text", ""),
        "closed": f": {detail['reason']}" if detail.get("reason") else " by a later run",
        "approvers": ", ".join(detail.get("approvers") or []),
        "hostname": detail.get("hostname", "a server"),
        "number": detail.get("attempt"),
        "count": counted(0 if isinstance(servers, list) else servers or 0, "server"),
        "servers": counted(len(servers) if isinstance(servers, list) else 0, "server"),
        "region": detail.get("region", "its region"),
        "attempt": f", attempt {attempt}" if attempt > 1 else "",
        "unattended": _stretch(detail.get("since"), detail.get("until")),
        "ending": statuses.get(entry.outcome, entry.outcome),
        "instances": counted(len(detail.get("instances") or []), "instance"),
        "names": ", ".join(servers) if isinstance(servers, list) else "",
        "state": detail.get("state", ""),
        "launcher": detail.get("byPlan") or f"somebody else (DRS job {detail.get('byJob', 'unknown')})",
        "terminator": _terminator(detail.get("unansweredTime")),
        "proof": " ".join(sentences(detail.get("proof"))),
        "jobs": ", ".join(detail.get("jobIds") or []),
        "by": " by its servers, without its tags" if detail.get("foundBy") else "",
        "parts": counted(len(detail.get("parts") or []), "job"),
        "gone": counted(len(detail.get("terminated") or []), "instance"),
        "left": len(detail.get("failed") or []),
    }


def _terminator(unanswered: int | None) -> str:
    if unanswered is None:
        return "Somebody else"
    at = utc(datetime.fromtimestamp(unanswered, UTC))
    return f"Somebody else, or this run's own request of {at}, which AWS never answered,"


def _place(detail: Mapping[str, Any]) -> str:
    """Where a run waits, or waited."""
    after = detail.get("afterWave")
    if isinstance(after, int):
        return f"after the failed wave {after + 1}"
    return f"before {_waves([number for number in [detail.get('wave')] if isinstance(number, int)])}"


def _waves(numbers: Sequence[int]) -> str:
    if not numbers:
        return "a wave"
    if len(numbers) == 1:
        return f"wave {numbers[0] + 1}"
    return f"waves {', '.join(str(number + 1) for number in numbers[:-1])} and {numbers[-1] + 1}"
