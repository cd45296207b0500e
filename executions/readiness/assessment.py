"""Will it work? What stands against a run of a plan now, weighed into one verdict. Pure: facts in, reasons out.

A verdict never keeps anybody from starting: in a disaster sources are stalled and the inventory is old.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from executions.codes.entry import OurCode
from executions.codes.ours import Code
from executions.codes.readiness import Against
from executions.readiness.launch_changes import launch_changes, sentence
from executions.readiness.native import native_reasons, native_run, native_sentences
from executions.readiness.plan_changes import NAMED, changes_since, names
from executions.readiness.room import room_reasons
from executions.readiness.terms import LaunchChange, PlanFacts, Readiness, Reason, RegionFacts, ServerFacts
from executions.states import Kind, Verdict

DRILL_IS_DUE = timedelta(days=90)
DETAILS_KNOWN_FOR = timedelta(hours=6)

# DRS's replication states: nothing was ever copied whole, or nothing newer than the last snapshot will come.
WITHOUT_SNAPSHOT = frozenset({"STOPPED", "INITIATING", "INITIAL_SYNC"})
CUT_OFF = frozenset({"STALLED", "DISCONNECTED", "PAUSED", "STOPPED"})
# A server that takes a snapshot replicates as it should, every ten minutes.
CURRENT = frozenset({"CONTINUOUS", "CREATING_SNAPSHOT"})


WARNING = Verdict.READY_WITH_WARNINGS
RANKS = list(Verdict)

# What may be said of a server, and how much it weighs.
OF_SERVERS: Mapping[OurCode, Verdict] = {
    Code.SERVER_GONE: Verdict.NOT_READY,
    Code.SNAPSHOT_GONE: Verdict.NOT_READY,
    Against.NO_SNAPSHOT: Verdict.NOT_READY,
    Against.NO_LAUNCH_SETTINGS: Verdict.NOT_READY,
    Against.NO_LAUNCH_TEMPLATE: Verdict.NOT_READY,
    Against.RPO_EXCEEDED: Verdict.NOT_READY,
    Code.SERVER_CONFLICT: Verdict.NOT_READY,
    Against.DETAILS_UNKNOWN: Verdict.UNKNOWN,
    Against.REPLICATION_TROUBLE: Verdict.NOT_READY,
    Against.RPO_UNKNOWN: Verdict.UNKNOWN,
    Against.NOT_REPLICATING: WARNING,
    Against.AGENT_SILENT: WARNING,
    Against.LAUNCHED_STOPPED: WARNING,
    Against.ACTIONS_DENIED: Verdict.NOT_READY,
    Against.LAGGING: WARNING,
    Against.BUSY_AT_DRS: WARNING,
    Against.DRILL_INSTANCE_RUNS: WARNING,
    Against.RECOVERY_INSTANCE_RUNS: WARNING,
    Against.FOREIGN_INSTANCE_RUNS: WARNING,
}


@dataclass(frozen=True)
class Finding:
    """Something about one server, in a sentence."""

    code: OurCode
    text: str

    @property
    def weight(self) -> Verdict:
        return OF_SERVERS[self.code]


def assess(facts: PlanFacts, now: datetime, believed_for: timedelta) -> Readiness:
    """Weigh everything that is known of a plan. `believed_for` is how long a reading of a region is believed."""
    changes = changes_since(facts.last_drill.plan_copy, facts) if facts.last_drill else []
    of_launch = list(launch_changes(facts))
    found = [
        *_plan_reasons(facts),
        *_region_reasons(facts, now, believed_for),
        *_server_reasons(facts, now),
        *_same_machines(facts),
        *room_reasons(facts),
        *native_reasons(facts),
        *_drill_reasons(facts, changes, now),
        *_launch_reasons(facts, of_launch),
    ]
    reasons = sorted(found, key=lambda each: RANKS.index(each.weight), reverse=True)
    verdict = reasons[0].weight if reasons else Verdict.READY
    expires_at = expiry(facts.regions.values(), believed_for)
    return Readiness(verdict, reasons, now, expires_at, facts.last_drill, changes, of_launch)


def expiry(regions: Iterable[RegionFacts], believed_for: timedelta) -> datetime | None:
    """None when something was never read: then nothing can expire."""
    moments = [each for region in regions for each in (region.as_of, region.jobs_as_of)]
    known = [each for each in moments if each is not None]
    return min(known) + believed_for if known and len(known) == len(moments) else None


def _plan_reasons(facts: PlanFacts) -> Iterator[Reason]:
    if not facts.engine_alive:
        yield Reason(Against.ENGINE_NOT_ALIVE, Verdict.NOT_READY, str(Against.ENGINE_NOT_ALIVE.explanation))
    if facts.is_superseded:
        text = str(Against.INSTALLATION_SUPERSEDED.explanation)
        yield Reason(Against.INSTALLATION_SUPERSEDED, Verdict.NOT_READY, text)
    if not facts.waves:
        yield Reason(Code.PLAN_HAS_NO_WAVES, Verdict.NOT_READY, Code.PLAN_HAS_NO_WAVES.meaning)
    if facts.native_drift:
        yield Reason(Against.NATIVE_PLAN_DIFFERS, WARNING, facts.native_drift)
    if facts.group_drifts:
        yield Reason(Against.GROUP_DIFFERS, WARNING, " ".join(facts.group_drifts))
    if facts.active_status:
        text = f"The plan is running now ({facts.active_status.lower()})."
        yield Reason(Code.PLAN_ALREADY_EXECUTING, Verdict.NOT_READY, text)


def _region_reasons(facts: PlanFacts, now: datetime, believed_for: timedelta) -> Iterator[Reason]:
    asked = any(wave.said.get("success_means", "LAUNCHED") != "LAUNCHED" for wave in facts.waves)
    for region in facts.regions.values():
        if region.checks_error:
            text = f"EC2 tells no status checks in {region.shown}, so nobody sees whether servers come up"
            weight = Verdict.NOT_READY if asked else WARNING
            yield Reason(Against.CHECKS_UNKNOWN, weight, f"{text}: {region.checks_error}")
        ids = [server.id for server in facts.servers if server.place == region.place]
        if region.is_elsewhere:
            yield Reason(Against.OTHER_ACCOUNT, Verdict.NOT_READY, f"{region.shown}: {region.error}", ids)
        elif not region.initialized:
            text = f"DRS has never been set up in {region.shown}."
            yield Reason(Code.REGION_NOT_INITIALIZED, Verdict.NOT_READY, text, ids)
        elif region.as_of is None:
            yield Reason(Against.INVENTORY_STALE, Verdict.UNKNOWN, f"{region.shown} has never been read.", ids)
        elif now > region.as_of + believed_for:
            why = f": {region.error}" if region.error else ""
            text = f"{region.shown} was last read {age(now - region.as_of)} ago{why}."
            yield Reason(Against.INVENTORY_STALE, Verdict.UNKNOWN, text, ids)
        elif region.jobs_as_of is None or now > region.jobs_as_of + believed_for:
            text = f"The DRS jobs in {region.shown} have not been read recently."
            yield Reason(Against.QUOTA_UNKNOWN, Verdict.UNKNOWN, text)
        elif region.error:
            text = f"{region.shown} could not be read at the last attempt: {region.error}."
            yield Reason(Against.INVENTORY_FAILING, WARNING, text, ids)


def _server_reasons(facts: PlanFacts, now: datetime) -> Iterator[Reason]:
    """One reason a kind of finding, whatever the number of servers."""
    concerned: dict[OurCode, list[ServerFacts]] = defaultdict(list)
    for server in facts.servers:
        region = facts.regions[server.place]
        for code in dict.fromkeys(each.code for each in findings(server, region, facts.rpo_minutes, now)):
            concerned[code].append(server)
    for code, servers in concerned.items():
        text = f"{code.entry.heading}: {names(servers)}."
        if code is Against.REPLICATION_TROUBLE:  # AWS's words are the reason
            text += "".join(f" {each.name}: {each.trouble}" for each in servers[:NAMED])
        if code is Code.SNAPSHOT_GONE:
            text += "".join(f" {each.name}: {each.chosen_gone}" for each in servers[:NAMED])
        if code is Code.SERVER_CONFLICT:
            text += native_sentences(servers, facts, now)
        yield Reason(code, OF_SERVERS[code], text, [server.id for server in servers])


def _same_machines(facts: PlanFacts) -> Iterator[Reason]:
    """An original and its extension in another account, which a run would both launch."""
    machines: dict[str, list[ServerFacts]] = defaultdict(list)
    for server in facts.servers:
        machines[server.machine].append(server)
    twice = [each for same in machines.values() if len(same) > 1 for each in same]
    if twice:
        called = ", ".join(f"{each.name} ({each.id}, {facts.regions[each.place].shown})" for each in twice[:NAMED])
        more = f" and {len(twice) - NAMED} more" if len(twice) > NAMED else ""
        text = f"The same machine more than once, in several accounts: {called}{more}. A run launches each."
        yield Reason(Against.SAME_MACHINE, WARNING, text, [each.id for each in twice])


def findings(server: ServerFacts, region: RegionFacts, rpo_minutes: int | None, now: datetime) -> list[Finding]:
    """What stands against the launch of one server."""
    held = [Finding(Code.SERVER_CONFLICT, f"A run of “{server.held_by}” holds it.")] if server.held_by else []
    if native := native_run(server, region, now):
        held.append(Finding(Code.SERVER_CONFLICT, f"It is in {native.words}, which runs now."))
    if server.gone or (not server.known and region.as_of is not None and region.initialized):
        return [*held, Finding(Code.SERVER_GONE, "DRS did not list it when its region was last read.")]
    if not server.known:
        return held
    return [*held, *_data_findings(server, rpo_minutes, now), *_launch_findings(server, region, now)]


def data_age(server: ServerFacts, now: datetime) -> timedelta | None:
    """How old the data is that a launch would bring up now; None when nobody knows."""
    if server.chosen_at is not None:
        return now - server.chosen_at
    if server.replication_state in CURRENT and server.lag_seconds is not None:
        return timedelta(seconds=server.lag_seconds)  # it goes on copying, whenever it was read
    if server.replication_state in CUT_OFF and server.latest_snapshot_at is not None:
        return now - server.latest_snapshot_at
    if server.lag_seconds is None or server.seen_at is None:
        return None
    return timedelta(seconds=server.lag_seconds) + (now - server.seen_at)


def _data_findings(server: ServerFacts, rpo_minutes: int | None, now: datetime) -> Iterator[Finding]:
    if server.chosen_gone:
        yield Finding(Code.SNAPSHOT_GONE, server.chosen_gone)
    elif server.chosen_at is not None:  # whatever becomes of its replication
        old = now - server.chosen_at
        if rpo_minutes is not None and old > timedelta(minutes=rpo_minutes):
            text = f"The snapshot chosen for it is {age(old)} old; the RPO is {rpo_minutes} min."
            yield Finding(Against.RPO_EXCEEDED, text)
    else:
        yield from _replication_findings(server, rpo_minutes, now)


def _replication_findings(server: ServerFacts, rpo_minutes: int | None, now: datetime) -> Iterator[Finding]:
    state, old = server.replication_state, data_age(server, now)
    known = f"Its data is {age(old)} old" if old is not None else "DRS does not report how old its data is"
    read = server.details_as_of is not None
    if state in WITHOUT_SNAPSHOT or (read and server.latest_snapshot_at is None):
        yield Finding(Against.NO_SNAPSHOT, f"It has no recovery snapshot (replication: {state}).")
    elif state in CUT_OFF:
        yield Finding(Against.NOT_REPLICATING, f"Its replication is {state}. {known}. {server.trouble}".strip())
    elif state not in CURRENT:
        yield Finding(Against.LAGGING, f"Its replication is {state}. {known}.")
    if server.trouble and state not in CUT_OFF:  # of what is cut off, a source that is gone, say, it is to be expected
        yield Finding(Against.REPLICATION_TROUBLE, server.trouble)
    if server.agent_silent_since is not None and state not in CUT_OFF:
        silent = age(now - server.agent_silent_since)
        yield Finding(Against.AGENT_SILENT, f"DRS last heard of its agent {silent} ago; its replication is {state}.")
    if rpo_minutes is not None and old is None and state not in WITHOUT_SNAPSHOT:
        yield Finding(Against.RPO_UNKNOWN, f"{known}, so nobody can say whether the RPO of {rpo_minutes} min holds.")
    if rpo_minutes is not None and old is not None and old > timedelta(minutes=rpo_minutes):
        yield Finding(Against.RPO_EXCEEDED, f"{known}; the RPO is {rpo_minutes} min.")


def _launch_findings(server: ServerFacts, region: RegionFacts, now: datetime) -> Iterator[Finding]:
    if server.details_as_of is None or now > server.details_as_of + DETAILS_KNOWN_FOR:
        yield Finding(
            Against.DETAILS_UNKNOWN, "Its snapshots and launch settings have not been read in the last few hours."
        )
    elif not server.launch_template_id:
        yield Finding(Against.NO_LAUNCH_SETTINGS, "DRS has no launch settings for it.")
    elif (server.settings or {}).get("launchTemplateGone"):
        text = f"Its launch template {server.launch_template_id} does not exist any more."
        yield Finding(Against.NO_LAUNCH_TEMPLATE, text)
    if server.starts_stopped:
        text = "DRS leaves its instance stopped after the launch; it is never usable until somebody starts it."
        yield Finding(Against.LAUNCHED_STOPPED, text)
    if server.has_actions and region.actions_denied:
        yield Finding(Against.ACTIONS_DENIED, f"Its post-launch actions cannot run: {region.actions_denied}.")
    busy = next((job for job in region.foreign if server.id in region.running[job]), None)
    if busy:
        yield Finding(Against.BUSY_AT_DRS, f"It is in DRS job {busy}, which was not started by this installation.")
    kind = server.instance_of
    match kind:
        case Kind.DRILL:
            yield Finding(Against.DRILL_INSTANCE_RUNS, "Its instance from an earlier drill is still running.")
        case Kind.RECOVERY:
            text = "A recovery instance of it is running. A launch terminates it."
            yield Finding(Against.RECOVERY_INSTANCE_RUNS, text)
        case None if server.has_foreign_instance:
            text = "An instance of it that was not launched from here is running."
            yield Finding(Against.FOREIGN_INSTANCE_RUNS, text)
        case None:
            pass
        case _:
            assert_never(kind)


def _drill_reasons(facts: PlanFacts, changes: Sequence[str], now: datetime) -> Iterator[Reason]:
    if facts.last_drill is None:
        yield Reason(Against.NEVER_DRILLED, WARNING, Against.NEVER_DRILLED.meaning)
        return
    if now - facts.last_drill.ended_at > DRILL_IS_DUE:
        days = (now - facts.last_drill.ended_at).days
        yield Reason(Against.DRILL_OVERDUE, WARNING, f"The last completed drill was {days} days ago.")
    if changes:
        text = f"Changed since the last completed drill: {' '.join(changes)}"
        yield Reason(Against.CHANGED_SINCE_DRILL, WARNING, text)


def _launch_reasons(facts: PlanFacts, changes: Sequence[LaunchChange]) -> Iterator[Reason]:
    if changes:
        ids = list(dict.fromkeys(each.server_id for each in changes))
        yield Reason(Against.LAUNCH_SETTINGS_CHANGED, WARNING, sentence(changes, facts), ids)


def age(span: timedelta) -> str:
    """A span in the largest unit that says it: 50 s, 12 min, 3 h, 4 days."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} days"
