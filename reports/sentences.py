"""What a report says in sentences. Figures in, English out."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from contract.clock import utc
from contract.plurals import counted
from drsorch_verify.derive import span
from executions.measuring.rta_rpa import Measured, Verdict
from executions.measuring.time_parts import Part
from executions.models import Execution
from executions.states import LaunchStatus, Reached, TerminationStatus, WaveStatus
from executions.terminating.cleanup_proof import sentences as proof_sentences
from plans.fields import WAVE_SETTINGS, WAVE_TEXTS, Field
from plans.fields import Kind as Held
from plans.models import LeaseEnds
from reports.parts.jobs import clocks

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from executions.api.server_runs import FindingShape
    from reports.report_data import (
        AttemptShape,
        MeasuredShape,
        RecordShape,
        ServerShape,
        SplitShape,
        TargetShape,
        WaveShape,
    )
    from reports.terminations import CleanupShape, LeaseShape


def clock(seconds: int | None) -> str:
    """Unix seconds as a time in UTC."""
    return "–" if seconds is None else utc(datetime.fromtimestamp(seconds, UTC))


def verdict(execution: Execution, figures: Measured) -> str:
    """The whole run in a sentence or three."""
    total, up = len(figures.servers), sum(each.launched for each in figures.servers)
    again = f", attempt {execution.attempt}" if execution.attempt > 1 else ""
    what = f"{'Dry run of a ' + execution.purpose.label.lower() if execution.dry_run else execution.purpose.label}"
    head = f"{what} of “{execution.plan_name}”{again}: {execution.state.label.lower()}"
    if execution.dry_run:
        failed = sum(each.row.launch_status == LaunchStatus.FAILED for each in figures.servers)
        found = f"{failed} of {counted(total, 'server')} would not launch" if failed else f"all {total} would launch"
        seconds = (execution.rehearsal or {}).get("predictedDuration")
        return f"{head}, {found}. Nothing was launched.{f' A run would take about {span(seconds)}.' if seconds else ''}"
    launched = f"{up} of {total} {'server' if total == 1 else 'servers'} launched"
    since = " of the first attempt's start" if execution.attempt > 1 else ""
    took = f" {'within' if since else 'in'} {span(figures.from_start)}{since}" if figures.complete else ""
    against = [
        _against_target("RTA", "RTO", figures.rto, complete=figures.complete),
        *(["The RTA counts from the declared outage."] if figures.complete and execution.outage_at else []),
        _against_target("RPA", "RPO", figures.rpo, complete=True),
        *([f"{span(figures.rpo_lag)} of the RPA is replication lag."] if figures.rpo_lag else []),
    ]
    missing = len(execution.left_out or ()) or execution.servers_left_out
    left_out = f", {missing} left out" if missing else ""
    text = " ".join([f"{head}, {launched}{took}{left_out}.", *against])
    if execution.snapshots_until is not None:
        text += f" Point in time chosen: the newest snapshots at or before {utc(execution.snapshots_until)}."
    if figures.previous_snapshots:
        many = figures.previous_snapshots > 1
        count = f"{figures.previous_snapshots} servers were" if many else "1 server was"
        text += f" {count} launched from an earlier snapshot because a new one failed."
    if figures.later_than_outage:
        text += f" {_later(figures.later_than_outage)}: check when production was really lost."
    return text


def _against_target(achieved: str, objective: str, found: Verdict, *, complete: bool) -> str:
    """What was achieved (RTA, RPA) against its objective (RTO, RPO). `drsorch_verify.derive` looks for these words."""
    target = f"the {objective} of {span(found.target)}"
    match found.reached:
        case Reached.NO_TARGET:
            known = complete and found.seconds is not None
            return f"No {objective} was set{f'; the {achieved} was {span(found.seconds)}' if known else ''}."
        case Reached.MET:
            return f"{achieved} {span(found.seconds)}: {target} was met."
        case Reached.MISSED:
            return f"{achieved} {span(found.seconds)}: {target} was missed by {span(found.missed_by)}."
        case Reached.NOT_REACHED:
            return f"T{target[1:]} was not met: not every server launched."
        case Reached.READING:
            return f"Whether {target} was met is still being read from AWS."
        case Reached.UNKNOWN:
            return f"Whether {target} was met is not known."
        case _:
            assert_never(found.reached)


# Rows of two or three cells, for the page and the PDF alike


def facts(record: "RecordShape") -> list[list[str]]:
    """Who started what, when, and what it achieved."""
    measured, outage = record["measured"], record["outageTime"]
    asked = record["initiatedBy"]
    return [
        ["Run", f"{record['runNumber'] or ''} {record['executionId']}".strip()],
        ["Plan", f"{record['planName']}, version {record['plan'].get('version', '–')}"],
        *_attempts(record),
        ["Started by", record["startedBy"] + (f" for {asked}" if asked != record["startedBy"] else "")],
        ["Started", clock(record["startTime"])],
        ["Ended", clock(record["endTime"])],
        *([["Production lost", clock(outage)]] if outage is not None else []),
        *clocks(job for wave in record["waves"] for job in wave["jobs"]),
        *(["Engine", each["text"]] for each in record["journal"] if each["verb"] == "execution.unattended"),
        *([] if record["dryRun"] else [["Recovery time achieved (RTA)", _rta(measured, outage)]]),
        *([] if record["dryRun"] else [["Until every server was usable", usable(measured["usableRto"])]]),
        *(
            []
            if record["dryRun"]
            else [["Recovery point achieved (RPA)", reached(measured["rpo"]) + _rpa_note(measured)]]
        ),
    ]


def _attempts(record: "RecordShape") -> list[list[str]]:
    """Every attempt with its own figures; RTA and RPA count over all of them."""
    if record["attempt"] == 1:
        return []
    gone = record["attempt"] - 1 - len(record["earlier"])
    tried = [*record["earlier"], record]
    return [
        *([["Attempts deleted", f"{gone}; only the journal has them"]] if gone else []),
        *([f"Attempt {each['attempt']}", _attempt(each)] for each in tried),
        ["Counted from", f"{clock(record['firstStartTime'])}, when attempt 1 was started"],
        *([["Left out", _left_out(record)]] if record["leftOut"] else []),
    ]


def _left_out(record: "RecordShape") -> str:
    """What whoever started the retry did not want launched: all of it is named."""
    names = [
        f"{each['hostname']} ({each['sourceServerId']}, wave {each['waveNumber'] + 1})" for each in record["leftOut"]
    ]
    return f"{_servers(len(names))}, by whoever started this attempt: {', '.join(names)}"


def _attempt(tried: "AttemptShape | RecordShape") -> str:
    servers = [server for wave in tried["waves"] for server in wave["servers"]]
    times = [each["launchTime"] for each in servers if each["launchTime"] is not None]
    took = f", the last after {span(max(times) - tried['startTime'])}" if times else ""
    return (
        f"{tried['status'].lower()}, {len(times)} of {_servers(len(servers))} launched{took} ({tried['executionId']})"
    )


def _servers(count: int) -> str:
    return f"{count} server{'' if count == 1 else 's'}"


def _later(count: int) -> str:
    return f"The data of {_servers(count)} is later than the declared outage"


def _rta(measured: "MeasuredShape", outage: int | None) -> str:
    """A time is an RTA only when every server is up. With a declared outage, from both."""
    found = measured["rto"]
    text = reached(found) if measured["complete"] else not_reached(found["seconds"])
    if outage is None or found["seconds"] is None:
        return text
    return f"{text} (from the declared outage; {span(measured['rtoFromStartSeconds'])} from the start)"


def usable(found: "TargetShape") -> str:
    """The time to the last usable server, or why there is none."""
    seconds, state = found["seconds"], Reached.of(found["reached"])
    if seconds is not None:
        how = {Reached.MISSED: f", missed by {span(found['missedBySeconds'])}", Reached.MET: ", met"}
        return f"{span(seconds)}{how.get(state, '')}"
    if state is Reached.READING:
        return "still being read from AWS"
    return "not known: not every server was seen to pass EC2’s status checks and its post-launch actions"


def not_reached(seconds: int | None) -> str:
    return "not reached" + ("" if seconds is None else f"; last server up after {span(seconds)}")


def _rpa_note(measured: "MeasuredShape") -> str:
    unknown, old, later = (
        measured["rpoUnknownServers"], measured["previousSnapshotServers"], measured["laterThanOutageServers"],
    )  # fmt: skip
    reading, lag = measured["rpoReadingServers"], measured["rpoLagSeconds"]
    notes = [f"{span(lag)} of it replication lag"] if lag else []
    notes += [f"still being read for {reading}"] if reading else []
    notes += [f"not known for {unknown}"] if unknown else []
    notes += [_later(later)[0].lower() + _later(later)[1:]] if later else []
    notes += [f"{old} from an earlier snapshot"] if old else []
    return f" ({', '.join(notes)})" if notes else ""


def reached(found: "TargetShape") -> str:
    """A figure and how it stands to its target, in a few words."""
    figure = "–" if found["seconds"] is None else span(found["seconds"])
    state = Reached.of(found["reached"])
    if found["seconds"] is None:
        return state.label.lower() if state is Reached.READING else figure
    match state:
        case Reached.NO_TARGET:
            return figure
        case Reached.MISSED:
            return f"{figure}, missed by {span(found['missedBySeconds'])}"
        case Reached.MET | Reached.NOT_REACHED | Reached.READING | Reached.UNKNOWN:
            return f"{figure}, {state.label.lower()}"
        case _:
            assert_never(state)


def parts(split: "SplitShape", *, tried_again: bool = False) -> list[list[str]]:
    """Where the time went, without the parts that took none."""
    more = {Part.PERSON: ", at gates and between attempts"} if tried_again else {}
    told = [(f"{part.words[0].upper()}{part.words[1:]}{more.get(part, '')}", split[part.value]) for part in Part]
    found = [[words, span(seconds)] for words, seconds in told if seconds]
    return found or [["Nothing was launched", "–"]]


def title_of(record: "RecordShape") -> str:
    kind = f"dry run of a {record['executionType'].lower()}" if record["dryRun"] else record["executionType"].lower()
    return f"{kind[0].upper()}{kind[1:]}: {record['planName']}"


def would_launch(status: str, findings: "Sequence[FindingShape]") -> str:
    """What a dry run says of a server."""
    if status == LaunchStatus.FAILED:
        return "Would not launch"
    return "Would launch, with warnings" if findings else "Would launch"


def replaced_ids(record: "RecordShape") -> set[str]:
    """Instances that ended for a later launch."""
    return {key for each in record["cleanup"]["replaced"] for key in each["instances"]}


def became(server: "ServerShape") -> str:
    """What became of its launch."""
    if server["notLaunched"]:
        return "Not launched"
    return "Left out" if server["excluded"] else LaunchStatus.of(server["launchStatus"]).outcome.label


def how_ended(server: "ServerShape", replaced: "Collection[str]") -> str:
    """What became of its instance since it launched; empty while it stands."""
    if not LaunchStatus.of(server["launchStatus"]).is_gone:
        return ""
    return "replaced since" if server["recoveryInstanceId"] in replaced else "terminated since"


def nothing_left(wave: "WaveShape") -> bool:
    """Whether a later attempt had nothing to launch in it, and counts it as complete; the wave says why."""
    return not wave["servers"] and WaveStatus.of(wave["status"]) is WaveStatus.COMPLETED


def wave_took(wave: "WaveShape") -> str:
    """How long it took."""
    if nothing_left(wave):
        return "nothing left to launch"
    return "" if wave["tookSeconds"] is None else f"last server up after {span(wave['tookSeconds'])}"


def timeline(record: "RecordShape") -> list[list[str]]:
    """What happened when: time, how long after the start, and what."""
    marks: list[tuple[int | None, str]] = [(record["startTime"], f"Started by {record['startedBy']}")]
    for wave in record["waves"]:
        name = f"wave {wave['waveNumber'] + 1}, {wave['waveName']}"
        last = max((each["launchTime"] for each in wave["servers"] if each["launchTime"] is not None), default=None)
        ended = f"{wave_took(wave)} in this attempt" if nothing_left(wave) else wave["status"].lower()
        marks += [
            (wave["pausedTime"], f"Paused before {name}"),
            (wave["resumedTime"], f"Resumed by {wave['resumedBy']}"),
            (wave["startTime"], f"{name[0].upper()}{name[1:]} started"),
            (last, f"The last server of {name} is up"),
            (wave["endTime"], f"{name[0].upper()}{name[1:]}: {ended}"),
        ]
    marks.append((record["endTime"], f"The run ended: {record['status'].lower()}"))
    known = sorted(((at, what) for at, what in marks if at is not None), key=lambda mark: mark[0])
    return [[clock(at), span(at - record["startTime"]), what] for at, what in known]


PLAN_COLUMNS = ["Wave", "Servers", "Needs", "Settings"]


def plan(record: "RecordShape") -> list[list[str]]:
    """The plan as frozen: a wave with its texts, its servers, what it needs, and what is set otherwise than usual."""
    waves = [wave for tried in [*record["earlier"], record] for wave in tried["waves"]]
    names = {each["sourceServerId"]: each["hostname"] for wave in waves for each in wave["servers"]}
    return [
        [
            "".join([f"{wave['waveNumber'] + 1}, {wave['waveName']}", *_texts(wave)]),
            ", ".join(names.get(each, each) for each in wave["serverIds"]),
            ", ".join(f"wave {number + 1}" for number in wave["dependsOnWaves"]) or "–",
            "\n".join(_setting(each, each.told(wave)) for each in WAVE_SETTINGS if each.told(wave) != _usual(each))
            or "–",
        ]
        for wave in record["plan"].get("waves", [])
    ]


def usual_settings() -> str:
    """What holds for a wave in the table of the plan where nothing else is said of it."""
    return f"Where a wave says nothing else: {'; '.join(_setting(each, _usual(each)) for each in WAVE_SETTINGS)}."


def _usual(field: Field) -> str:
    return field.words(field.default)


def _setting(field: Field, words: str) -> str:
    told = f"{words} {field.unit}" if words and field.kind is Held.MINUTES else words or field.without
    return f"{field.title[0].upper()}{field.title[1:].lower()}: {told}"


def _texts(wave: dict[str, object]) -> list[str]:
    """Further lines below a wave's name."""
    return [f"\n{text}" for text in (each.told(wave) for each in WAVE_TEXTS) if text]


def ending(record: "RecordShape") -> list[list[str]]:
    """What became of the instances, and how the run before it went."""
    cleanup, before = record["cleanup"], record["comparison"]
    rows = [["Clean-up", "Nothing was launched" if record["dryRun"] else _cleaned_up(cleanup)]]
    for each in cleanup["earlierInstances"]:
        state = "terminated" if each["launchStatus"] == "TERMINATED" else "did not come up as the wave asks"
        rows.append([f"Earlier launch of {each['hostname']}", f"{each['recoveryInstanceId']}: {state}"])
    if standing := _left_by_earlier(record):
        rows.append(["Of earlier attempts", f"{counted(standing, 'instance')} not terminated"])
    if lease := cleanup["lease"]:
        rows.append(["Lease of the instances", _lease(lease)])
    if cleanup["stopped"]:
        rows.append(["Stopped in EC2", ", ".join(cleanup["stopped"])])
    rows += [[f"Replaced by {each['by']}", ", ".join(each["instances"])] for each in cleanup["replaced"]]
    elsewhere = [each for each in cleanup["alreadyGone"] if each not in replaced_ids(record)]
    asked_for = {each for job in cleanup["jobs"] for each in job["instanceIds"]}
    if unconfirmed := [each for each in elsewhere if each in asked_for]:  # it may have been these requests
        rows.append(["Ended without a request that AWS confirmed", ", ".join(unconfirmed)])
    if others := [each for each in elsewhere if each not in asked_for]:
        rows.append(["Ended without a request", ", ".join(others)])
    rows += [[f"Not terminated: {each['recoveryInstanceId'] or '–'}", each["message"]] for each in cleanup["failed"]]
    rows += [
        [f"Asked DRS at {clock(each['askedTime'])}", text]
        for each, text in zip(cleanup["proof"] or (), proof_sentences(cleanup["proof"]), strict=True)
    ]
    if cleanup["unknownToDrs"]:
        rows.append(["Unknown to DRS, may still run in EC2", ", ".join(cleanup["unknownToDrs"])])
    rows += [
        [
            f"Termination {job['jobId'] or '–'}",
            f"{counted(len(job['instanceIds']), 'instance')} in {job['region']}, requested by {job['requestedBy']}",
        ]
        for job in cleanup["jobs"]
    ]
    if before is None:
        first = "None before attempt 1." if record["earlier"] else "This was the first run of the plan."
        return [*rows, ["Previous run", first]]
    changed = "; the plan was changed since" if before["planChanged"] else ""
    head = (
        f"{before['executionType'].capitalize()} of {clock(before['startTime'])}, {before['status'].lower()}{changed}"
    )
    rows.append(["Previous run", head])
    if record["dryRun"]:
        return rows
    rta = span(before["rtoSeconds"]) if before["complete"] else not_reached(before["rtoSeconds"])
    rows.append(["Previous RTA", rta + _change(before["rtoChangeSeconds"])])
    rows.append(["Previous RPA", span(before["rpoSeconds"]) + _change(before["rpoChangeSeconds"])])
    return rows


def _left_by_earlier(record: "RecordShape") -> int:
    """Instances that attempts before this one launched and nobody has ended; theirs are not this one's clean-up."""
    servers = [server for tried in record["earlier"] for wave in tried["waves"] for server in wave["servers"]]
    return sum(LaunchStatus.of(each["launchStatus"]) is LaunchStatus.LAUNCHED for each in servers)


def _cleaned_up(cleanup: "CleanupShape") -> str:
    """How far it is; where nobody asked for it and later launches ended the instances, that."""
    running = f", {cleanup['stillRunning']} still running" if cleanup["stillRunning"] else ""
    if cleanup["replaced"] and not cleanup["jobs"]:
        count = sum(len(each["instances"]) for each in cleanup["replaced"])
        which = "some" if running or count < len(cleanup["alreadyGone"]) else "the"
        return f"Not requested: later launches replaced {which} instances{running}"
    return TerminationStatus.of(cleanup["status"]).label + running


def _lease(lease: "LeaseShape") -> str:
    until = f"until {clock(lease['endsTime'])}"
    if lease["overTime"] is None:
        return f"{until}, warned at {clock(lease['warnedTime'])}" if lease["warnedTime"] else until
    over = "termination requested" if lease["atEnd"] == LeaseEnds.TERMINATE else "people were told"
    return f"{until}; over, {over} at {clock(lease['overTime'])}"


def _change(seconds: int | None) -> str:
    if not seconds:
        return ", the same now" if seconds == 0 else ""
    return f", now {span(abs(seconds))} {'more' if seconds > 0 else 'less'}"
