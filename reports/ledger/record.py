"""The ledger in the contract's shape, of which API, CSV and PDF are made."""

from collections.abc import Mapping
from typing import TypedDict

from contract.clock import unix
from executions.measuring.rta_rpa import Verdict
from executions.models import Execution
from reports.ledger.figures import Ledger, LedgerPlan, LedgerServer


class FigureShape(TypedDict):
    """Seconds achieved and asked for. `reached` is MET, MISSED, UNKNOWN, READING, NOT_REACHED or NO_TARGET."""

    seconds: int | None
    target: int | None
    reached: str


class ProvenShape(TypedDict):
    """The last launch that proves it; null where there is none. `status` is PROVEN, OVERDUE or NEVER."""

    status: str
    provenTime: int | None
    executionId: str | None
    runNumber: int | None
    executionType: str | None
    rta: FigureShape | None
    rpa: FigureShape | None


class LedgerServerShape(ProvenShape):
    sourceServerId: str
    name: str
    waveNumber: int


class CoverageShape(TypedDict):
    """Of how many servers a launch succeeded within so many days."""

    days: int
    servers: int
    of: int


class LedgerPlanShape(ProvenShape):
    """A plan, by its last run that completed with every server. It is OVERDUE, too, when one of its servers is.
    `openFindings` are those of the plan and of its runs, `signedOffBy` whoever vouches for that last run."""

    planId: str
    planName: str
    rtoMinutes: int | None
    rpoMinutes: int | None
    openFindings: int
    overdueFindings: int
    signedOffBy: list[str]
    coverage: list[CoverageShape]
    servers: list[LedgerServerShape]


class LedgerShape(TypedDict):
    """What has proven that it comes up. `serversInNoPlan` are those of the inventory that no run can prove. `accountId`
    is the AWS account whose plans alone are counted, null for all: then a plan counts with all its servers."""

    asOf: int
    days: int
    accountId: str | None
    plans: list[LedgerPlanShape]
    coverage: list[CoverageShape]
    serversInNoPlan: int


def record(found: Ledger) -> LedgerShape:
    return LedgerShape(
        asOf=unix(found.as_of),
        days=found.days,
        accountId=found.account or None,
        plans=[_plan(each) for each in found.plans],
        coverage=_coverage(found.coverage, found.total),
        serversInNoPlan=found.unplanned,
    )


def _plan(each: LedgerPlan) -> LedgerPlanShape:
    return LedgerPlanShape(
        planId=str(each.plan.pk),
        planName=each.plan.name,
        rtoMinutes=each.plan.rto_minutes,
        rpoMinutes=each.plan.rpo_minutes,
        openFindings=each.findings.open,
        overdueFindings=each.findings.overdue,
        signedOffBy=list(each.signed_off_by),
        coverage=_coverage(each.coverage, each.total),
        servers=[_server(server) for server in each.servers],
        **_proven(each.proof, unix(each.proven_at), each.run, each.rta, each.rpa),
    )


def _server(each: LedgerServer) -> LedgerServerShape:
    launch = each.launch
    at = unix(launch.row.launched_at) if launch else None
    return LedgerServerShape(
        sourceServerId=each.source_server_id,
        name=each.name,
        waveNumber=each.wave,
        **_proven(each.proof, at, *((launch.run, launch.rta, launch.rpa) if launch else (None, None, None))),
    )


def _proven(
    status: str, at: int | None, run: Execution | None, rta: Verdict | None, rpa: Verdict | None
) -> ProvenShape:
    return ProvenShape(
        status=str(status),
        provenTime=at,
        executionId=str(run.pk) if run else None,
        runNumber=run.number if run else None,
        executionType=run.kind if run else None,
        rta=_figure(rta),
        rpa=_figure(rpa),
    )


def _figure(verdict: Verdict | None) -> FigureShape | None:
    if verdict is None:
        return None
    return FigureShape(seconds=verdict.seconds, target=verdict.target, reached=verdict.reached.value)


def _coverage(counts: Mapping[int, int], total: int) -> list[CoverageShape]:
    return [CoverageShape(days=days, servers=servers, of=total) for days, servers in counts.items()]
