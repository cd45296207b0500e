"""What DRS runs by itself: executions of its own recovery plans that have servers of a plan of ours."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from executions.codes.ours import Code
from executions.readiness.terms import PlanFacts, Reason, RegionFacts, ServerFacts
from executions.states import Verdict
from protection.inventory.native_runs import NativeRun

SAID_FOR = timedelta(minutes=10)  # what ran then may be over; it is read every minute


def native_run(server: ServerFacts, region: RegionFacts, now: datetime) -> NativeRun | None:
    """The execution that has the server, as DRS told a moment ago."""
    if region.native_as_of is None or now > region.native_as_of + SAID_FOR:
        return None
    return region.native.get(server.id)


def native_sentences(servers: Sequence[ServerFacts], facts: PlanFacts, now: datetime) -> str:
    """Which executions have them; empty for servers that only runs of ours have."""
    found = {native_run(each, facts.regions[each.place], now) for each in servers}
    return "".join(f" Runs now: {words}." for words in sorted({each.words for each in found if each}))


def native_reasons(facts: PlanFacts) -> Iterator[Reason]:
    """Where nobody knows: never silently nothing."""
    for region in facts.regions.values():
        if region.native_error:
            ids = [server.id for server in facts.servers if server.place == region.place]
            text = f"Not checked in {region.shown}: whether DRS runs recovery plans of its own ({region.native_error})."
            yield Reason(Code.NATIVE_RUNS_NOT_CHECKED, Verdict.READY_WITH_WARNINGS, text, ids)
