"""The sentence at the top of a run's page: what happens next, and who may make it happen."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, assert_never

from contract.clock import utc
from contract.plurals import counted
from contract.status import Tone
from executions.console.live_page.after_the_end import left_by_earlier_attempts
from executions.runs.claim import waves_view
from executions.runs.decide import following
from executions.runs.gates.given import at_gate
from executions.states import ExecutionStatus, WaveStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from executions.console.live_page.page_content import Live, WaveCard
    from executions.runs.decisions import WaveView


@dataclass(frozen=True)
class Banner:
    """What happens next and who may make it happen; `at` is shown as "4 minutes ago" between the two texts."""

    tone: Tone
    title: str
    before: str = ""
    at: datetime | None = None
    after: str = ""


def banner_of(live: "Live") -> Banner:
    """What is to be said of a run as it stands, trouble before anything else."""
    told = _dry_run(live) if live.execution.dry_run else _of_state(live)
    if not live.state.is_final and (fallen := _fallen(live)):
        told = replace(told, after=f"{fallen} {told.after}".rstrip())
    if _missed_target(live):
        told = replace(told, tone=_worse(told.tone))
    if live.behind:
        told = replace(told, tone=_worse(told.tone), after=f"{live.behind} {told.after}".rstrip())
    if live.left_by_cleanup:
        told = replace(told, tone=Tone.DANGER, after=f"{live.left_by_cleanup} {told.after}".rstrip())
    return replace(told, tone=Tone.DANGER, after=f"{live.trouble} {told.after}") if live.trouble else told


def _fallen(live: "Live") -> str:
    """What came up in a run that goes on, and does not run any more: whoever lets it go on must know."""
    kinds = (
        (live.launched - live.up, "terminated"),
        (live.stopped, "stopped"),
        (live.unknown_to_drs, "lost sight of by DRS"),
    )
    said = [f"{count} {'was' if count == 1 else 'were'} {what}" for count, what in kinds if count]
    return f"Of the servers that came up, {' and '.join(said)} since: see the waves." if said else ""


def _missed_target(live: "Live") -> bool:
    """Whether the last server of a run that is over was up too late; the bar below says by how much."""
    run = live.execution
    if run.dry_run or not run.rto_minutes or not live.state.is_final or live.last_up is None:
        return False
    return (live.last_up - run.measured_from).total_seconds() > 60 * run.rto_minutes


def _worse(tone: Tone) -> Tone:
    """Of a run with something that is not as it should be: nothing green stands above it."""
    return Tone.PARTIAL if tone is Tone.SUCCESS else tone


def _pending(live: "Live") -> Banner:
    when = (
        "An engine will pick it up within a few seconds."
        if live.engine_alive
        else "It launches as soon as an engine runs."
    )
    return Banner(Tone.NEUTRAL, "Not started yet.", after=when)


def _doing(state: WaveStatus, *, engine_alive: bool) -> str:
    match state:
        case WaveStatus.INITIATED:
            return "is being sent to AWS"
        case WaveStatus.POLLING:
            return "waits for AWS to begin"
        case WaveStatus.LAUNCHING:
            return "is launching"
        case WaveStatus.PENDING | WaveStatus.PAUSED | WaveStatus.COMPLETED | WaveStatus.FAILED | WaveStatus.SKIPPED:
            return "starts now" if engine_alive else "starts next"
        case _:
            assert_never(state)


def _running(live: "Live") -> Banner:
    wave = live.current
    if wave is None:
        return Banner(Tone.PROGRESS, "Running.")
    if live.execution.restored_at:
        return Banner(Tone.ATTENTION, "Restored from a backup.", after=wave.run.status_message)
    doing = _doing(wave.run.state, engine_alive=live.engine_alive)
    title = f"{wave.title[0].upper()}{wave.title[1:]}, {doing}."
    if wave.waits_until:
        title = f"Waiting before {wave.title}, as the plan says."
        return Banner(Tone.PROGRESS, title, after=f"It starts at {utc(wave.waits_until)}.")
    if wave.run.status_message:
        return Banner(Tone.ATTENTION if wave.is_refused else Tone.PROGRESS, title, after=wave.run.status_message)
    return Banner(
        Tone.PROGRESS, title, before="" if live.trouble else "No action needed.", after=_what_follows(live, wave)
    )


def _what_follows(live: "Live", wave: "WaveCard") -> str:
    """What comes behind the wave that is under way; once a server has failed it, what the plan says of that."""
    failed = sum(not each.optional for each in wave.failures)
    found = following(
        waves_view(live.execution, [each.run for each in live.waves]), wave.run.number, fails=bool(failed)
    )
    skipped = f"{_waves([each + 1 for each in found.skipped])} will be skipped" if found.skipped else ""
    told = f"{counted(failed, 'server')} failed" if failed else ""
    if told and found.asks:
        return f"{told}: after this wave the run waits for a decision."
    if told and skipped and found.next is None:
        return f"{told}: after this wave the run ends, and {skipped}."
    because = f"{skipped[0].upper()}{skipped[1:]}: what it needs did not complete." if skipped else ""
    return " ".join(filter(None, (told and f"{told}.", because, _coming(live, found.next))))


def _coming(live: "Live", coming: "WaveView | None") -> str:
    if coming is None:
        return "This is the last wave."
    title = live.waves[coming.number].title
    if live.execution.pause_requested_at:
        return f"Next: a pause before {title}."
    waits = f" after a wait of {counted(int(coming.wait.total_seconds()) // 60, 'minute')}" if coming.wait else ""
    if coming.pause_before and not coming.resumed:
        return f"Next: a pause before {title}{',' if waits else ''}{waits}."
    return f"Next: {title},{waits or ' without a pause'}."


def _asked(live: "Live", wave: "WaveCard") -> Banner:
    """After a failed wave: what each way to go on leads to."""
    needing = [each.number for each in live.waves if wave.run.number in each.run.depends_on and not each.has_begun]
    ahead = [each.number for each in live.waves if each.number > wave.number and not each.run.state.is_final]
    them = "it" if wave.failed == 1 else "them"
    on = [number for number in ahead if number not in needing]
    skipped = f"; {_waves(needing)} would be skipped, since {_need(needing)} wave {wave.number}" if needing else ""
    then = f"{_waves(on)} would run" if on else "the run would end"
    goes_on = f"go on without {them}: {then}{skipped}"
    return Banner(
        Tone.ATTENTION,
        f"{wave.title[0].upper()}{wave.title[1:]}, failed: {wave.failed} of {counted(wave.total, 'server')}.",
        "It began to wait for a decision",
        wave.run.asked_at,
        f"Retry {'it' if wave.failed == 1 else 'the failed servers'}, or {goes_on}.",
    )


def _waves(numbers: "Sequence[int]") -> str:
    if len(numbers) == 1:
        return f"wave {numbers[0]}"
    return f"waves {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _need(numbers: "Sequence[int]") -> str:
    return "it needs" if len(numbers) == 1 else "they need"


def _paused(live: "Live") -> Banner:
    if live.asked_wave is not None:
        return _asked(live, live.asked_wave)
    wave = live.paused_wave or live.current
    if wave is None:
        return Banner(Tone.ATTENTION, "Paused.")
    before = next((each for each in reversed(live.waves) if each.run.ended_at and each.number < wave.number), None)
    at = at_gate(live.execution)
    asks_more = at is not None and not at.gate.is_plain
    came_up = live.up or live.execution.attempt > 1
    checks = "Resume when the launched servers pass your checks." if came_up else "Resume when it may launch."
    usual = "The gate below says what is asked." if asks_more else checks
    asked = wave.run.status_message or usual
    if before is None:
        return Banner(Tone.ATTENTION, f"Paused before {wave.title}.", after=asked)
    finished = f"Wave {before.number} {'failed' if before.run.state is WaveStatus.FAILED else 'finished'}"
    return Banner(Tone.ATTENTION, f"Paused before {wave.title}.", finished, before.run.ended_at, asked)


def _cancelling(live: "Live") -> Banner:
    wave = live.current
    rest = f"{wave.title[0].upper()}{wave.title[1:]}, finishes first: " if wave else ""
    later = " Later waves are skipped." if wave is None or live.has_later_waves else ""
    return Banner(Tone.PROGRESS, "Cancelling.", after=f"{rest}AWS cannot stop a launch.{later}")


def _instances(live: "Live") -> str:
    """What is left behind: of a drill instances that cost money, of a recovery production."""
    return f"{_own_instances(live)} {left_by_earlier_attempts(live.execution)}".strip()


def _being_terminated(ending: int, left: int) -> str:
    """While a clean-up is under way: what it ends, and what nobody has asked for yet."""
    rest = (
        f" {counted(left, 'more instance')} may run and {'is' if left == 1 else 'are'} not part of it." if left else ""
    )
    cost = "it costs" if ending == 1 else "they cost"
    return f"{counted(ending, 'instance')} being terminated; {cost} money until AWS has done it.{rest}"


def _own_instances(live: "Live") -> str:
    short = f"{counted(live.not_usable, 'instance')} not up as the wave asks may still run and cost money."
    if not live.up:
        return short if live.not_usable else f"None of its instances is running{_replaced(live)}."
    if ending := live.up + live.not_usable - live.standing:
        return _being_terminated(ending, live.standing)
    up = live.up - live.unknown_to_drs - live.stopped
    said = [short] if live.not_usable else []
    if live.stopped:
        are = "instance is" if live.stopped == 1 else "instances are"
        said.append(f"{live.stopped} {are} stopped in EC2, by somebody else: the disks still cost money.")
    if live.unknown_to_drs:
        said.append(
            f"{counted(live.unknown_to_drs, 'instance')} unknown to DRS may still run in EC2: see the cleanup below."
        )
    unknown = " ".join(said)
    if not up:
        return unknown
    if live.is_recovery:
        runs = "instance runs" if up == 1 else "instances run"
        return f"{up} {runs}, for production. Terminate only when production runs elsewhere again. {unknown}".rstrip()
    return f"{counted(up, 'instance')} still running and costing money until terminated. {unknown}".rstrip()


def _replaced(live: "Live") -> str:
    """By which later launches they ended: nobody has to look for who terminated them."""
    told = live.termination.replaced if live.termination else []
    by = [f"{each.by} replaced {_of_them(len(each.instances), live.launched)}" for each in told]
    return f": {', '.join(by)}" if by else ""


def _of_them(count: int, launched: int) -> str:
    return ("them" if count > 1 else "it") if count == launched else f"{count} of them"


def _all_launched(live: "Live") -> str:
    """A later attempt launches what was left, and is not the whole plan."""
    found = live.in_all
    if found is None:
        return f"All {counted(live.total, 'server')} launched."
    left = f"This attempt launched {_what_was_left(live.total)}"
    if found.launched == found.total:
        return f"{left}: all {counted(found.total, 'server')} of the run launched."
    return f"{left}: {found.launched} of {counted(found.total, 'server')} of the run launched."


def _what_was_left(count: int) -> str:
    return "the server that was left" if count == 1 else f"all {count} servers that were left"


def _after(live: "Live") -> str:
    """What stands, and, of a later attempt that fell short, what all have launched together."""
    found = live.in_all
    together = f"All attempts together launched {found.launched} of {counted(found.total, 'server')}. " if found else ""
    return f"{together}{_instances(live)}"


def _completed(live: "Live") -> Banner:
    if live.left_out:
        title = f"Completed, {live.left_out} left out: {live.launched} of {counted(live.total, 'server')} launched."
        return Banner(Tone.PARTIAL, title, before="Finished", at=live.execution.ended_at, after=_after(live))
    return Banner(
        Tone.SUCCESS,
        _all_launched(live),
        before="Finished",
        at=live.execution.ended_at,
        after=_instances(live),
    )


def _partial(live: "Live") -> Banner:
    coming = f", AWS may still launch {live.unknown}" if live.unknown else ""
    title = f"{live.launched} of {counted(live.total, 'server')} launched, {live.failed} failed{coming}."
    return Banner(Tone.PARTIAL, title, before="Ended", at=live.execution.ended_at, after=_after(live))


def _failed(live: "Live") -> Banner:
    if live.unknown:
        up = f"{live.launched} of {live.total}" if live.launched else "no server"
        title = f"Failed: {up} known to be up, and AWS may still launch {live.unknown}."
    else:
        title = (
            f"Failed: {live.launched} of {live.total} launched." if live.launched else "Failed: no server was launched."
        )
    left = f"{_after(live)} " if live.up or live.not_usable or live.in_all else ""
    return Banner(Tone.DANGER, title, before="Ended", at=live.execution.ended_at, after=f"{left}The reasons are below.")


def _cancelled(live: "Live") -> Banner:
    return Banner(Tone.NEUTRAL, "Cancelled.", before="Ended", at=live.execution.ended_at, after=_instances(live))


def _dry_run(live: "Live") -> Banner:
    """What a dry run found so far, or in the end."""
    if not live.state.is_final:
        return Banner(Tone.PROGRESS, "Checking.", after="It does not stop at pauses and needs no action.")
    if live.state is ExecutionStatus.CANCELLED:
        return Banner(Tone.NEUTRAL, "Cancelled.", before="Ended", at=live.execution.ended_at)
    if live.failed:
        title = f"{live.failed} of {counted(live.total, 'server')} would not launch."
        return Banner(Tone.DANGER, title, before="Ended", at=live.execution.ended_at, after="The reasons are below.")
    title = f"All {counted(live.total, 'server')} would launch."
    return Banner(Tone.SUCCESS, title, before="Checked", at=live.execution.ended_at, after="Nothing was launched.")


def _of_state(live: "Live") -> Banner:
    match live.state:
        case ExecutionStatus.PENDING:
            return _pending(live)
        case ExecutionStatus.RUNNING | ExecutionStatus.POLLING | ExecutionStatus.LAUNCHING:
            return _running(live)
        case ExecutionStatus.PAUSED:
            return _paused(live)
        case ExecutionStatus.CANCELLING:
            return _cancelling(live)
        case ExecutionStatus.COMPLETED:
            return _completed(live)
        case ExecutionStatus.PARTIAL:
            return _partial(live)
        case ExecutionStatus.FAILED:
            return _failed(live)
        case ExecutionStatus.CANCELLED:
            return _cancelled(live)
        case _:
            assert_never(live.state)
