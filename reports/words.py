"""What a report says in sentences. Figures in, English out."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from executions.measure import Measured, Part, Verdict
from executions.models import Execution
from executions.states import LaunchStatus, Reached, TerminationStatus

if TYPE_CHECKING:
    from reports.record import MeasuredShape, RecordShape, SplitShape, TargetShape

PARTS = {
    Part.PERSON: "waiting for a person",
    Part.QUOTA: "until AWS took the launch",
    Part.QUEUE: "queued at AWS",
    Part.CLEANUP: "cleaning up earlier instances",
    Part.SNAPSHOT: "snapshot",
    Part.CONVERSION: "conversion",
    Part.LAUNCH: "launch",
    Part.OTHER: "between waves",
}


def span(seconds: int | None) -> str:
    """Seconds as people say them: 45 s, 8 min 45 s, 2 h 3 min, 3 d 4 h."""
    if seconds is None:
        return "not known"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{left} s"


def clock(seconds: int | None) -> str:
    """Unix seconds as a time in UTC."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def verdict(execution: Execution, figures: Measured) -> str:
    """The whole run in a sentence or three."""
    total, up = len(figures.servers), sum(each.launched for each in figures.servers)
    what = f"{'Dry run of a ' + execution.purpose.label.lower() if execution.dry_run else execution.purpose.label}"
    head = f"{what} of “{execution.plan_name}”: {execution.state.label.lower()}"
    if execution.dry_run:
        failed = sum(each.row.launch_status == LaunchStatus.FAILED for each in figures.servers)
        found = f"{failed} of {total} servers would not launch" if failed else f"all {total} would launch"
        seconds = (execution.rehearsal or {}).get("predictedDuration")
        return f"{head}, {found}. Nothing was launched.{f' A run would take about {span(seconds)}.' if seconds else ''}"
    launched = f"{up} of {total} {'server' if total == 1 else 'servers'} launched"
    took = f" in {span(figures.rto.seconds)}" if figures.complete else ""
    against = [_against("RTO", figures.rto, complete=figures.complete), _against("RPO", figures.rpo, complete=True)]
    text = " ".join([f"{head}, {launched}{took}.", *against])
    if figures.previous_snapshots:
        many = figures.previous_snapshots > 1
        count = f"{figures.previous_snapshots} servers were" if many else "1 server was"
        text += f" {count} launched from an earlier snapshot because a new one failed."
    return text


def _against(name: str, found: Verdict, *, complete: bool) -> str:
    if found.reached is Reached.NO_TARGET:
        known = complete and found.seconds is not None
        return f"No {name} target was set{f'; it was {span(found.seconds)}' if known else ''}."
    target = f"the {name} target of {span(found.target)}"
    if found.reached is Reached.MET:
        return f"{name} {span(found.seconds)}: {target} was met."
    if found.reached is Reached.MISSED:
        return f"{name} {span(found.seconds)}: {target} was missed by {span(found.missed_by)}."
    if found.reached is Reached.NOT_REACHED:
        return f"T{target[1:]} was not reached: not every server launched."
    return f"Whether {target} was met is not known."


# Rows of two or three cells, for the page and the PDF alike


def facts(record: "RecordShape") -> list[list[str]]:
    """Who started what, when, and what it achieved."""
    measured, outage = record["measured"], record["outageTime"]
    asked = record["initiatedBy"]
    return [
        ["Execution", record["executionId"]],
        ["Plan", f"{record['planName']}, version {record['plan'].get('version', '–')}"],
        *([["Attempt", f"{record['attempt']}, after {record['retryOf']}"]] if record["retryOf"] else []),
        ["Started by", record["startedBy"] + (f" for {asked}" if asked != record["startedBy"] else "")],
        ["Started", clock(record["startTime"])],
        ["Ended", clock(record["endTime"])],
        *([["Production lost", clock(outage)]] if outage is not None else []),
        ["RTO", reached(measured["rto"])],
        ["RPO", reached(measured["rpo"]) + _rpo_note(measured)],
    ]


def _rpo_note(measured: "MeasuredShape") -> str:
    unknown, old = measured["rpoUnknownServers"], measured["previousSnapshotServers"]
    notes = [f"not known of {unknown}"] if unknown else []
    notes += [f"{old} from an earlier snapshot"] if old else []
    return f" ({', '.join(notes)})" if notes else ""


def reached(found: "TargetShape") -> str:
    """A figure and how it stands to its target, in a few words."""
    figure = "–" if found["seconds"] is None else span(found["seconds"])
    state = Reached.of(found["reached"])
    if state is Reached.NO_TARGET or found["seconds"] is None:
        return figure
    missed = f" by {span(found['missedBySeconds'])}" if state is Reached.MISSED else ""
    return f"{figure}, {state.label.lower()}{missed}"


def gates(record: "RecordShape") -> list[list[str]]:
    """Where the run waited for a person, for how long, and who ended it."""
    return [
        [
            f"Before wave {wave['waveNumber'] + 1}, {wave['waveName']}",
            span(wave["waitedSeconds"]),
            f"Resumed by {wave['resumedBy']} at {clock(wave['resumedTime'])}" if wave["resumedBy"] else "Not resumed",
        ]
        for wave in record["waves"]
        if wave["pausedTime"] is not None
    ]


def parts(split: "SplitShape") -> list[list[str]]:
    """Where the time went, without the parts that took none."""
    found = [[PARTS[part][0].upper() + PARTS[part][1:], span(split[part.value])] for part in Part if split[part.value]]
    return found or [["Nothing was launched", "–"]]


def ending(record: "RecordShape") -> list[list[str]]:
    """What became of the instances, and how the run before it went."""
    cleanup, before = record["cleanup"], record["comparison"]
    label = TerminationStatus.of(cleanup["status"]).label
    running = f", {cleanup['stillRunning']} still running" if cleanup["stillRunning"] else ""
    rows = [["Clean-up", label + running]]
    rows += [
        [
            f"Termination {job['jobId'] or '–'}",
            f"{len(job['instanceIds'])} instances in {job['region']}, asked by {job['requestedBy']}",
        ]
        for job in cleanup["jobs"]
    ]
    if before is None:
        return [*rows, ["Run before", "This was the first run of the plan."]]
    changed = "; the plan was changed since" if before["planChanged"] else ""
    head = (
        f"{before['executionType'].capitalize()} of {clock(before['startTime'])}, {before['status'].lower()}{changed}"
    )
    rows.append(["Run before", head])
    rows.append(["RTO then", span(before["rtoSeconds"]) + _change(before["rtoChangeSeconds"])])
    rows.append(["RPO then", span(before["rpoSeconds"]) + _change(before["rpoChangeSeconds"])])
    return rows


def _change(seconds: int | None) -> str:
    if not seconds:
        return ", the same now" if seconds == 0 else ""
    return f", now {span(abs(seconds))} {'more' if seconds > 0 else 'less'}"
