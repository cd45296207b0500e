"""What an answer of DRS makes of one server: its status, instance and times, and AWS's words for what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from operator import attrgetter

from django.conf import settings

from audit.safe_text import storable
from drs.shapes import JOB_COMPLETED, Job, JobLogItem, LaunchAction, Participant, RecoveryInstance
from drs.status_checks import StatusChecks
from executions.codes.ours import Code
from executions.models import LaunchJob, ServerRun
from executions.models.drs_jobs import CLOCKS_AGREE
from executions.observing.usable import take_checks, take_usable, why_not_up
from executions.states import LaunchStatus, Phase, phase_after
from plans.models import SuccessMeans

GONE = frozenset({"TERMINATED", "NOT_FOUND"})
STOPPED = frozenset({"STOPPED", "STOPPING"})
_NOT_UP = GONE | STOPPED | {"SHUTTING-DOWN"}
_UNDECIDED = ("", "PENDING")  # states of an instance of which nobody can say yet that it came up
_OPEN = (LaunchStatus.PENDING.value, LaunchStatus.IN_PROGRESS.value)
_TOLD_OF_A_LAUNCH = (LaunchStatus.IN_PROGRESS.value, LaunchStatus.LAUNCHED.value, LaunchStatus.FAILED.value)
_COLUMNS = (
    "launch_status",
    "phase",
    "phase_note",
    "recovery_instance_id",
    "instance_state",
    "launch_actions",
    "system_check",
    "instance_check",
    "checks_passed_at",
    "usable_at",
    "usable_late",
    "launched_at",
    "observed_late",
    "failed_at",
    "used_previous_snapshot",
    "point_in_time",
    "error",
    "error_code",
)

_columns_of = attrgetter(*_COLUMNS)

UNSETTLED = "DRS ended the job without saying what became of this server, and lists no instance of it."
UNLISTED = (
    "DRS ended the job without saying what became of this server, and did not say for a day which instances there are."
    " One may run in EC2."
)
# The same behind the word that DRS has for the server.
UNSETTLED_AFTER_WORD = "It lists no instance of it."
UNLISTED_AFTER_WORD = "For a day it did not say which instances there are. One may run in EC2."
CAUSE_READING = "The cause is still being read from AWS's job log."
CAUSE_UNREAD = "AWS does not hand out the job's log, so the cause is not known yet."
NO_REASON = "AWS gave no reason."
WITHOUT_CAUSE = ("", CAUSE_READING, CAUSE_UNREAD, NO_REASON)
_CAUSE_WITHIN_POLLS = 2


@dataclass(frozen=True)
class Told:
    """What one answer tells of a server. `lines` are those of its log, `of_job` those that name no server; without
    `log_read` there may be more."""

    participant: Participant | None
    instance: RecoveryInstance | None
    lines: Sequence[JobLogItem] = ()
    of_job: Sequence[JobLogItem] = ()
    log_read: bool = False
    is_stopped_on_purpose: bool = False
    checks: StatusChecks | None = None  # None where EC2 was not asked


@dataclass(frozen=True)
class LaunchTimeBounds:
    """Between which times a server of a job came up: after the intent to launch it and, by DRS's word, before the job's
    end, however late we look. AWS's clock is believed only as far as it agrees with ours. `ended` jobs tell no more;
    `seen_before` is when DRS was asked the time before, `open_at` when it last showed the job and that had not ended;
    `seen_by` is when we saw its end.
    """

    earliest: datetime | None
    latest: datetime
    ended: bool
    asked_at: datetime
    seen_before: datetime | None
    wave_is_over: bool
    means: SuccessMeans
    open_at: datetime | None = None
    is_timed_by_aws: bool = True
    seen_by: datetime | None = None

    @classmethod
    def of(cls, job: LaunchJob, found: Job, asked_at: datetime, seen_before: datetime | None) -> "LaunchTimeBounds":
        is_new = job.completed_seen_at in (None, asked_at)
        open_at = seen_before if is_new and seen_before is not None and seen_before < asked_at else None
        is_timed, seen_by = not job.aws_ahead, min(asked_at, job.completed_seen_at or asked_at)
        latest = min(asked_at, found.ended_at) if is_timed and found.ended_at is not None else seen_by
        latest = max(latest, job.intent_at or latest)
        ended, over = found.status == JOB_COMPLETED, job.wave.state.is_final
        means = job.wave.means
        return cls(job.intent_at, latest, ended, asked_at, seen_before, over, means, open_at, is_timed, seen_by)

    def agree(self, at: datetime, since: datetime | None) -> bool:
        """Whether AWS's clock, by which it is told, goes as ours does: by another one nothing is timed."""
        return self.is_timed_by_aws and abs(self.within(at, since) - at) <= CLOCKS_AGREE

    def within(self, at: datetime, since: datetime | None) -> datetime:
        """An end of the job before `since` is by another clock: then it is when we saw that end."""
        return min(max(at, since or at), self.until(since))

    def until(self, since: datetime | None) -> datetime:
        return self.latest if since is None or self.latest >= since else max(self.seen_by or self.asked_at, since)


def update(server: ServerRun, told: Told, bounds: LaunchTimeBounds) -> set[str]:
    """Bring one server up to date; answers the columns that changed. What an ended job does not tell, its instance
    does."""
    before = _columns_of(server)
    was, state_before = server.state, server.instance_state
    if told.participant is not None:
        server.launch_status = next_status(server.state, told.participant.launch_status)
        server.launch_actions = _shown(told.participant.launch_actions) or server.launch_actions
        if not was.is_settled:
            server.error = "" if server.state.is_settled else _own_word(told.participant, bounds)
    _take_instance(server, told, bounds)
    was_not_usable = server.error_code == Code.NOT_USABLE
    if server.state is LaunchStatus.LAUNCHED and _did_not_come_up(server, state_before, told, bounds):
        fail_not_usable(server, not_up_as(server))
    _take_phase(server, told.lines)
    if server.state is LaunchStatus.LAUNCHED:
        _take_times(server, told.lines, bounds, was)
        _take_evidence(server, told, bounds, was_not_usable=was_not_usable)
    if server.state is LaunchStatus.FAILED and server.error in WITHOUT_CAUSE:
        server.failed_at = server.failed_at or bounds.asked_at
        server.error = _failure_text(told) or _without_cause(server.failed_at, told, bounds.asked_at)
    after = _columns_of(server)
    if after == before:
        return set()
    return {name for name, old, new in zip(_COLUMNS, before, after, strict=True) if old != new}


def _own_word(participant: Participant, bounds: LaunchTimeBounds) -> str:
    """What an ended job calls a server, where that does not say what became of its launch."""
    if not bounds.ended or participant.launch_status in _OPEN:
        return ""
    word = participant.launch_status
    return str(storable(f"DRS ended the job and calls this server {word}, which does not say whether it was launched."))


def after_word(word: str, why: str) -> str:
    """Why no more is expected of DRS, behind the word that it has for the server, if it has any."""
    shorter = {UNSETTLED: UNSETTLED_AFTER_WORD, UNLISTED: UNLISTED_AFTER_WORD}
    return f"{word} {shorter.get(why, why)}" if word else why


def not_up_as(server: ServerRun) -> str:
    """Why one is not up that EC2 shows as stopped, or as gone."""
    return f"EC2 shows it as {server.instance_state}, so it is not up."


NOT_USABLE_COLUMNS = ["launch_status", "error_code", "error", "launched_at", "usable_at", "usable_late"]


def fail_not_usable(server: ServerRun, why: str) -> None:
    """It launched, and is not up. It keeps its instance, which stands until somebody terminates it."""
    server.launch_status, server.error_code, server.launched_at = LaunchStatus.FAILED, Code.NOT_USABLE, None
    server.error = f"DRS launched {server.recovery_instance_id}. {why}"
    server.usable_at = server.usable_late = None


def _take_evidence(server: ServerRun, told: Told, bounds: LaunchTimeBounds, *, was_not_usable: bool) -> None:
    """Whether a launched server is up as its wave asks for; one that was given up is so until it is seen to be up."""
    again = bounds.means.needs_checks and not bounds.wave_is_over
    take_checks(server, told.checks, bounds.asked_at, bounds.seen_before, again=again)
    take_usable(server, bounds.asked_at, ended=bounds.ended)
    why = "" if server.is_up(bounds.means) else why_not_up(server, bounds.means)
    if was_not_usable and not server.is_up(bounds.means):
        why = server.error.partition(". ")[2] or why
    if why:
        fail_not_usable(server, why)
    else:
        server.error = server.error_code = ""


def next_status(now: LaunchStatus, told: str) -> LaunchStatus:
    """A server's status after DRS told one: what was launched stays launched, what is settled stays settled, and
    what began is never pending again. That something is terminated tells nothing of a launch that nobody saw."""
    if told not in _TOLD_OF_A_LAUNCH or now in (LaunchStatus.LAUNCHED, LaunchStatus.TERMINATED):
        return now
    status = LaunchStatus.of(told)
    return status if status.is_settled or not now.is_settled else now


def is_settled(told: str) -> bool:
    """Whether DRS, saying this, has said what became of a server's launch."""
    return told in _TOLD_OF_A_LAUNCH and LaunchStatus.of(told).is_settled


def _take_instance(server: ServerRun, told: Told, bounds: LaunchTimeBounds) -> None:
    participant, instance = told.participant, told.instance
    instance_id = participant.recovery_instance_id if participant else ""
    if instance is not None:
        instance_id = instance_id or instance.recovery_instance_id
        if server.state is not LaunchStatus.TERMINATED:  # it may still be listed from before
            server.instance_state = storable(instance.ec2_state)[:16] or server.instance_state
        server.point_in_time = instance.point_in_time or server.point_in_time
        untold = participant is None or not is_settled(participant.launch_status)
        if bounds.ended and untold and instance.ec2_state not in GONE:
            server.launch_status = next_status(server.state, LaunchStatus.LAUNCHED)
    server.recovery_instance_id = instance_id or server.recovery_instance_id
    if bounds.ended and instance is not None and instance.ec2_state in GONE and not server.state.is_settled:
        fail_not_usable(server, not_up_as(server))
    if bounds.ended and instance is not None and instance.ec2_state not in GONE and server.state is LaunchStatus.FAILED:
        server.error_code = Code.NOT_USABLE  # DRS calls its launch failed, and lists what it launched: that stands


def _did_not_come_up(server: ServerRun, state_before: str, told: Told, bounds: LaunchTimeBounds) -> bool:
    """Whether an instance was gone or stopped when it was first looked at: then its launch has failed, whatever DRS
    says. What ends later has been up, which is not enough for a wave that asks for checks; what the launch settings say
    shall be stopped is as it should be."""
    if server.instance_state not in _NOT_UP:
        return False
    if server.error_code == Code.NOT_USABLE:  # so until it is seen to be up
        return True
    is_on_purpose = told.is_stopped_on_purpose and server.instance_state in STOPPED and not bounds.means.needs_checks
    is_new = state_before in _UNDECIDED or (bounds.means.needs_checks and server.instance_state not in STOPPED)
    return is_new and not bounds.wave_is_over and not is_on_purpose


def _take_phase(server: ServerRun, lines: Sequence[JobLogItem]) -> None:
    for item in lines:
        server.phase = phase_after(item.event, Phase.of(server.phase))
        server.phase_note = _attempt(item)
        server.used_previous_snapshot |= item.event == "USING_PREVIOUS_SNAPSHOT"
    if server.state.is_settled:
        server.phase, server.phase_note = Phase.DONE, ""


def _attempt(item: JobLogItem) -> str:
    """Which of several attempts is under way after this line, as DRS counts them: one that failed is followed by the
    next one."""
    made, of = item.data.get("attemptCount"), item.data.get("maxAttemptsCount")
    if not isinstance(made, int) or not isinstance(of, int):
        return ""
    under_way = made + 1 if item.event.endswith(("_FAIL", "_FAILED")) else made
    return f"attempt {under_way} of {of}" if 1 < under_way <= of else ""


def _take_times(server: ServerRun, lines: Sequence[JobLogItem], bounds: LaunchTimeBounds, was: LaunchStatus) -> None:
    """The log says when; until it is read, and where it does not, the launch was observed so many seconds late at
    most. No word of AWS makes it earlier than we have seen it not to be up."""
    is_new = was is not LaunchStatus.LAUNCHED
    not_up = [bounds.earliest]
    if is_new and not was.is_settled:
        not_up.append(bounds.open_at)
    if not is_new and server.launched_at is not None and server.observed_late is not None:
        not_up.append(server.launched_at - timedelta(seconds=server.observed_late))
    since = max((each for each in not_up if each is not None), default=None)
    lines = [item for item in lines if item.dated and bounds.agree(item.at, bounds.earliest)]
    ends = [item.at for item in lines if item.event == "LAUNCH_END" and bounds.agree(item.at, since)]
    told_at = next(iter(ends), None)  # read later than the status
    server.launched_at = bounds.within(told_at or server.launched_at or bounds.until(since), since)
    if told_at is not None:
        server.observed_late = None
        return
    known = [since, *(item.at for item in lines if item.event != "LAUNCH_END")]
    if is_new and bounds.seen_before is not None and bounds.seen_before < bounds.asked_at:
        known.append(bounds.seen_before)
    latest = max((each for each in known if each is not None), default=None)
    server.observed_late = None if latest is None else max(0, ceil((server.launched_at - latest).total_seconds()))


FAILURES = (
    "LAUNCH_FAILED",
    "CONVERSION_FAIL",
    "SERVER_SKIPPED",
    "USING_PREVIOUS_SNAPSHOT_FAILED",
    "SNAPSHOT_FAIL",
    "CLEANUP_FAIL",
    "UPDATE_LAUNCH_TEMPLATE_FAILED",
    "NETWORK_RECOVERY_FAIL",
    "DEPLOY_NETWORK_CONFIGURATION_FAILED",
    "UPDATE_NETWORK_CONFIGURATION_FAILED",
    "JOB_CANCEL",
)


def _failure_text(told: Told) -> str:
    """AWS's own words for a failed launch, from the last failure in the log that has any: of the server, else of the
    whole job."""
    own = [item for item in told.lines if is_failure(item.event)]
    of_job = [item for item in told.of_job if is_failure(item.event)]
    worded = next((item for item in (*reversed(own), *reversed(of_job)) if item.data.get("rawError")), None)
    said = worded or next(iter((*reversed(own), *reversed(of_job))), None)
    if said is None:
        return ""
    return str(storable(f"{said.event}: {said.data.get('rawError') or NO_REASON}"))


def is_failure(event: str) -> bool:
    """Whether an event tells of something that failed; events that AWS adds are named alike."""
    return event in FAILURES or event.endswith(("_FAIL", "_FAILED"))


def _without_cause(failed_at: datetime, told: Told, asked_at: datetime) -> str:
    """What is said while the log has no word of it: that it is being read, for two polls."""
    if asked_at < failed_at + timedelta(seconds=_CAUSE_WITHIN_POLLS * settings.POLL_SECONDS):
        return CAUSE_READING
    return NO_REASON if told.log_read else CAUSE_UNREAD


def _shown(actions: Sequence[LaunchAction]) -> list[dict[str, object]]:
    """As the row keeps them, and the API shows them."""
    return [
        {
            "name": storable(each.name),
            "category": storable(each.category),
            "optional": each.optional,
            "status": storable(each.status),
            "failureReason": storable(each.failure_reason) or None,
        }
        for each in actions
    ]
