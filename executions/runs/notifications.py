"""What the world is told of a run, in words for people and figures for programs. Call inside the transaction of the
change: the notice is committed with it, and an engine sends it afterwards."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.urls import reverse

from contract.clock import unix, utc
from contract.plurals import counted
from executions.codes.explain import left_to_say, of_end
from executions.models import Execution, ServerRun, WaveRun
from executions.querysets import CAME_UP
from executions.runs.allowed.actions import Verb, right_to_steer
from executions.runs.decisions import PAUSE_LIMIT
from executions.runs.gates.given import AtGate
from executions.states import ExecutionStatus, LaunchStatus
from notify import outbox
from notify.outbox import Message
from notify.states import Event

NAMED = 5  # how many servers a message names


def started(execution: Execution, now: datetime) -> None:
    """Somebody has started a run."""
    _publish(Event.STARTED, execution, now, f"started by {_starter(execution)}")


def paused(execution: Execution, at: AtGate, now: datetime, *, again: bool = False) -> None:
    """The run waits for people, from now on or `again`, before a wave."""

    def write() -> Message:
        roles, wave = _roles(execution), at.wave
        where = f"before wave {wave.number + 1} ({wave.name})"
        url = f"{address(execution)}#gate" if not at.gate.is_plain else f"{address(execution)}#resume"
        still = "is still" if again else "is"
        asked = counted(at.missing, "approval") if at.gate.approvals else "an operator"
        return _message(
            Event.PAUSED,
            execution,
            now,
            f"{still} waiting for {asked} {where}",
            [
                *_asked(execution, at),
                f"Since: {utc(at.paused_at)}",
                f"{'Look, then approve or decline' if at.gate.approvals else 'Resume'}: {url}",
            ],
            waitingFor=roles,
            pausedSince=unix(at.paused_at),
            resumeUrl=url,
            **_gate_figures(at),
            **_of_wave(wave),
        )

    _send(Event.PAUSED, execution, now, write)


def _who_may(execution: Execution, do: str) -> str:
    roles = _roles(execution)
    may = f"anyone who may {do} {'recoveries' if execution.purpose.is_recovery else 'runs'}"
    return f"{may} ({', '.join(roles)})" if roles else may


def _asked(execution: Execution, at: AtGate) -> list[str]:
    """What is asked of whom, a line each."""
    whom = _who_may(execution, "approve" if at.gate.approvals else "resume")
    if at.gate.approvals:
        whom += f", but for {execution.started_by}, who started the run"
    ends = [f"Until: {utc(at.expires_at)}, then the run ends"] if at.gate.expires < PAUSE_LIMIT else []
    checks = [f"To be checked: {'; '.join(at.gate.checklist)}"] if at.gate.checklist else []
    return [f"Waiting for: {whom}", *checks, *ends]


def _gate_figures(at: AtGate) -> dict[str, Any]:
    if at.gate.is_plain:
        return {}
    return {
        "gate": {
            "approvals": at.gate.approvals,
            "approvalsMissing": at.missing if at.gate.approvals else 0,
            "checklist": list(at.gate.checklist),
            "expiresTime": unix(at.expires_at),
        }
    }


def declined(execution: Execution, at: AtGate, by: str, text: str, now: datetime) -> None:
    """Somebody has declined at a gate: the run goes on waiting."""
    what = f"was declined before wave {at.wave.number + 1} ({at.wave.name}) by {by}, and waits"
    lines = [text, f"Look at the gate: {address(execution)}#gate"]
    _publish(Event.PAUSED, execution, now, what, lines, declinedBy=by, **_gate_figures(at), **_of_wave(at.wave))


def glass_broken(execution: Execution, at: AtGate, by: str, reason: str, missing: int, now: datetime) -> None:
    """Somebody has let a run through a gate without its approvals: every subscription is told, whatever it is for."""
    gate = f"the gate before wave {at.wave.number + 1} ({at.wave.name})"
    lacking = f"{counted(missing, 'approval')} that it needs" if missing else "what it asks for"
    what = f"went through {gate} without {lacking}"
    lines = [f"Break-glass by {by}: {reason}"]
    figures = {"brokenBy": by, "reason": reason, "approvalsMissing": missing, **_of_wave(at.wave)}
    outbox.publish_to_all(
        Event.BREAK_GLASS,
        plan_name=execution.plan_name,
        execution_id=execution.pk,
        at=now,
        write=lambda: _message(Event.BREAK_GLASS, execution, now, what, lines, **figures),
    )


def paused_after(execution: Execution, wave: WaveRun, now: datetime) -> None:
    """The run waits for a person, from now on, because `wave` failed."""

    def write() -> Message:
        roles, whom = _roles(execution), _who_may(execution, "resume")
        return _message(
            Event.PAUSED,
            execution,
            now,
            f"is waiting for a decision after wave {wave.number + 1} ({wave.name}), which failed",
            [
                *_advised(wave.error_message or wave.status_message, wave.error_code),
                f"Waiting for: {whom}",
                f"Since: {utc(now)}",
                f"Retry its failed servers, go on without them, or cancel: {address(execution)}#resume",
            ],
            waitingFor=roles,
            pausedSince=unix(now),
            resumeUrl=f"{address(execution)}#resume",
            pausedAfterWave=wave.number,
            **_of_wave(wave),
        )

    _send(Event.PAUSED, execution, now, write)


def resumed_after(execution: Execution, wave: WaveRun, now: datetime) -> None:
    """A person has let a run go on after a wave that failed."""
    waited = int((now - wave.asked_at).total_seconds()) if wave.asked_at else 0
    what = f"continues after wave {wave.number + 1} ({wave.name}), which failed, resumed by {wave.answered_by}"
    _publish(Event.RESUMED, execution, now, what, resumedBy=wave.answered_by, waitedSeconds=waited, **_of_wave(wave))


def resumed(execution: Execution, wave: WaveRun, now: datetime) -> None:
    """A person has let a paused run go on."""
    waited = int((now - wave.paused_at).total_seconds()) if wave.paused_at else 0
    what = f"continues with wave {wave.number + 1} ({wave.name}), resumed by {wave.resumed_by}"
    _publish(Event.RESUMED, execution, now, what, resumedBy=wave.resumed_by, waitedSeconds=waited, **_of_wave(wave))


def timed_out(execution: Execution, wave: WaveRun, code: str, text: str, now: datetime) -> None:
    """A wave took too long at AWS, or nobody resumed the run for too long."""
    what = f"timed out in wave {wave.number + 1} ({wave.name})"
    _publish(Event.TIMED_OUT, execution, now, what, _advised(text, code), **_of_wave(wave))


def late(execution: Execution, servers: Sequence[ServerRun], now: datetime) -> None:
    """Instances came up of waves that were given up, or had timed out: they run, and somebody must decide of them."""
    names = ", ".join(each.hostname for each in servers[:NAMED])
    more = f" and {len(servers) - NAMED} more" if len(servers) > NAMED else ""
    lines = [f"They run and cost money until they are terminated: {names}{more}."]
    what = f"launched {counted(len(servers), 'instance')} late: the wave had been given up"
    _publish(Event.LATE, execution, now, what, lines, servers=[each.source_server_id for each in servers])


def lease_warning(execution: Execution, up: int, now: datetime) -> None:
    """In an hour engines terminate what a drill has left running."""
    what = f"has {counted(up, 'instance')} whose lease ends: they are terminated soon"
    _tell_lease(execution, what, "Extend the lease, or have them terminated now", up, now)


def lease_over(execution: Execution, up: int, now: datetime) -> None:
    """A drill's instances have outlived their lease."""
    what = f"has {counted(up, 'instance')} that {'has' if up == 1 else 'have'} outlived the lease"
    _tell_lease(execution, what, "They cost money. Extend the lease, or terminate them", up, now)


def lease_ended(execution: Execution, ids: Sequence[str], left: int, waits: int, now: datetime) -> None:
    """Engines ask for what outlived its lease to be terminated; `left` of them were left alone, and of those that wait
    AWS does not say yet what they are."""
    what = f"has {counted(len(ids), 'instance')} being terminated, whose lease is over"
    kept = f"{counted(left, 'instance')} left alone: production, in use by another run, or not listed" if left else ""
    silent = f"AWS does not say what {waits} of them are, which run on until it does" if waits else ""
    line = ". ".join(each for each in (kept, silent) if each)
    _tell_lease(execution, what, line or "The run’s page says what became of them", len(ids), now)


def _tell_lease(execution: Execution, what: str, line: str, up: int, now: datetime) -> None:
    ends = unix(execution.lease_ends_at) if execution.lease_ends_at else None
    lines = [*([f"Lease: until {utc(execution.lease_ends_at)}"] if execution.lease_ends_at else []), f"{line}."]
    _publish(Event.LEASE, execution, now, what, lines, instances=up, leaseEndsTime=ends)


def ended(execution: Execution, now: datetime, *, by: str = "") -> None:
    """The run is over: failed, or finished in any other way. Its row has its final columns already."""
    state = execution.state
    event = Event.FAILED if state is ExecutionStatus.FAILED else Event.FINISHED

    def write() -> Message:
        servers = ServerRun.objects.filter(wave__execution=execution)
        total, up = servers.count(), servers.filter(CAME_UP).count()
        gone = up - servers.filter(launch_status=LaunchStatus.LAUNCHED).count()
        left_out = f", {execution.servers_left_out} left out" if execution.servers_left_out else ""
        attempt = f" by attempt {execution.attempt}" if execution.attempt > 1 else ""  # which has only what was left
        what = f"{state.label.lower()}{f' by {by}' if by else ''}{left_out}"
        what += f": {up} of {counted(total, 'server')} launched{attempt}"
        what += f", {gone} of them terminated since" if gone else ""
        lines = _advised(execution.error_message, execution.error_code)
        return _message(event, execution, now, what, lines, serversLaunched=up, serversTotal=total)

    _send(event, execution, now, write)


def _advised(text: str, code: str) -> list[str]:
    """Why, in the words of the run, then what that means and what to try."""
    reason = of_end(text, code)
    return [text, left_to_say(text, reason)] if reason else [text]


def address(execution: Execution) -> str:
    """Where people find the run."""
    return f"{settings.PUBLIC.origin}{reverse('execution', args=[execution.pk])}"


def _starter(execution: Execution) -> str:
    """Who is proven to have started it; on whose behalf is that person's own word."""
    by, told = execution.started_by, execution.initiated_by
    return by if told == by else f"{by}, for {told}"


def _roles(execution: Execution) -> list[str]:
    """The roles that may let it go on."""
    app, _, right = right_to_steer(Verb.RESUME, execution.purpose)[0].partition(".")
    groups = Group.objects.filter(permissions__codename=right, permissions__content_type__app_label=app)
    return sorted(groups.values_list("name", flat=True))


def _of_wave(wave: WaveRun) -> dict[str, Any]:
    return {"waveNumber": wave.number, "waveName": wave.name}


def _publish(
    event: Event, execution: Execution, now: datetime, what: str, lines: Sequence[str] = (), **figures: Any
) -> None:
    _send(event, execution, now, lambda: _message(event, execution, now, what, lines, **figures))


def _send(event: Event, execution: Execution, now: datetime, write: Callable[[], Message]) -> None:
    if execution.dry_run:
        return  # nothing happens to anything: whoever started it looks
    outbox.publish(
        event,
        plan_id=execution.plan_id,
        plan_name=execution.plan_name,
        execution_id=execution.pk,
        at=now,
        write=write,
    )


def _message(
    event: Event, execution: Execution, now: datetime, what: str, lines: Sequence[str], **figures: Any
) -> Message:
    kind = f"{execution.purpose.label}{' (dry run)' if execution.dry_run else ''}"
    where = address(execution)
    text = [
        f"{kind} of {execution.plan_name} {what}.",
        *(each for each in lines if each),
        "",
        f"Plan: {execution.plan_name}",
        f"Started: {utc(execution.started_at)} by {_starter(execution)}",
        f"Sent: {utc(now)}",
        f"{execution.called.capitalize()}: {where}",
    ]
    data = {
        "event": event.value,
        "at": unix(now),
        "executionId": str(execution.pk),
        "runNumber": execution.number,
        "planId": str(execution.plan_id) if execution.plan_id else None,
        "planName": execution.plan_name,
        "executionType": execution.kind,
        "dryRun": execution.dry_run,
        "status": execution.status,
        "initiatedBy": execution.initiated_by,
        "startedBy": execution.started_by,
        "startTime": unix(execution.started_at),
        "totalWaves": execution.total_waves,
        "errorCode": execution.error_code,
        "errorMessage": execution.error_message,
        "url": where,
        **figures,
    }
    return Message(f"{kind} of {execution.plan_name} {what}", "\n".join(text), data)
