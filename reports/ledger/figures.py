"""The ledger: what of the installation has proven that it comes up, when, in which time, and how much of it that is."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count, Q

from executions.measuring.many_runs import HEAVY
from executions.measuring.proven import Achieved, Launch, achieved_of, launches_of
from executions.measuring.rta_rpa import Verdict
from executions.models import Execution
from findings.models import Finding, SignOff
from findings.states import State
from plans.models import RecoveryPlan, WaveServer
from protection.models import SourceServer
from reports.ledger.states import Proof

DAYS = 90
WINDOWS = (30, 90, 365)  # days


@dataclass(frozen=True)
class LedgerServer:
    """A server of a plan, and the launch that proves it, if any."""

    source_server_id: str
    name: str
    wave: int
    launch: Launch | None
    proof: Proof


@dataclass(frozen=True)
class OpenFindings:
    """How many findings of a plan and its runs are open, and how many of these are overdue."""

    open: int = 0
    overdue: int = 0


@dataclass(frozen=True)
class LedgerPlan:
    """A plan, the run that proves it, if any, and its servers."""

    plan: RecoveryPlan
    run: Execution | None
    achieved: Achieved | None
    proof: Proof
    servers: Sequence[LedgerServer]
    coverage: Mapping[int, int]
    findings: OpenFindings = OpenFindings()
    signed_off_by: Sequence[str] = ()  # of the run that proves it

    @property
    def proven_servers(self) -> int:
        return sum(each.proof is Proof.PROVEN for each in self.servers)

    @property
    def proven_at(self) -> datetime | None:
        return self.run.ended_at if self.run else None

    @property
    def rta(self) -> Verdict | None:
        return self.achieved.rta if self.achieved else None

    @property
    def rpa(self) -> Verdict | None:
        return self.achieved.rpa if self.achieved else None


@dataclass(frozen=True)
class Ledger:
    """`coverage` says of how many servers in plans, `total`, a launch succeeded within so many days; one in several
    plans counts once. `unplanned` counts those of the inventory that no plan names, which no run can prove."""

    as_of: datetime
    days: int
    plans: Sequence[LedgerPlan]
    coverage: Mapping[int, int]
    total: int
    unplanned: int

    @property
    def counts(self) -> Mapping[Proof, int]:
        """How many plans are so."""
        return {proof: sum(each.proof is proof for each in self.plans) for proof in Proof}


def ledger(now: datetime, days: int = DAYS, only: uuid.UUID | None = None) -> Ledger:
    """All plans, by name, or one alone, in a fixed number of queries."""
    of = Q(plan=only) if only else Q()
    known = RecoveryPlan.objects.filter(pk=only) if only else RecoveryPlan.objects.order_by("name_key")
    plans: dict[uuid.UUID, RecoveryPlan] = {each.pk: each for each in known}
    placed = list(WaveServer.objects.filter(of).select_related("wave").order_by("wave__number", "position"))
    proven, launches = _proven(plans), launches_of(placed, plans)
    names = {
        pk: name or hostname or pk
        for pk, name, hostname in SourceServer.objects.values_list("source_server_id", "name", "hostname")
    }
    of_plan: dict[uuid.UUID, list[LedgerServer]] = defaultdict(list)
    for each in placed:
        found = launches.get(each.assignment_id)
        proof = _proof(found.row.launched_at if found else None, now, days)
        name = names.get(each.assignment_id, each.assignment_id)
        of_plan[each.plan_id].append(LedgerServer(each.assignment_id, name, each.wave.number, found, proof))
    filed, signed = _open_findings(now), _signed({run.pk for run, _ in proven.values()})
    shown = [
        replace(
            _plan(plan, proven.get(pk), of_plan[pk], now, days),
            findings=filed.get(pk, OpenFindings()),
            signed_off_by=signed[proven[pk][0].pk] if pk in proven else (),
        )
        for pk, plan in plans.items()
    ]
    in_plans = {server.source_server_id: server for plan in shown for server in plan.servers}
    unplanned = SourceServer.objects.present().values_list("source_server_id", flat=True)
    return Ledger(
        now, days, shown, _coverage(in_plans.values(), now), len(in_plans), len(set(unplanned) - in_plans.keys())
    )


def _proven(plans: Mapping[uuid.UUID, RecoveryPlan]) -> dict[uuid.UUID, tuple[Execution, Achieved]]:
    """The last run that proves each plan that has one, and what was achieved in it."""
    achieved = achieved_of(plans)
    runs = Execution.objects.defer(*HEAVY).in_bulk([each.run for each in achieved.values()])
    return {plan: (runs[each.run], each) for plan, each in achieved.items() if each.run in runs}


def _plan(
    plan: RecoveryPlan,
    proven: tuple[Execution, Achieved] | None,
    servers: Sequence[LedgerServer],
    now: datetime,
    days: int,
) -> LedgerPlan:
    """A plan counts as proven by its last complete run, as long as each of its servers is: one that was added since has
    not been launched with it."""
    run, achieved = proven or (None, None)
    proof = _proof(run.ended_at if run else None, now, days)
    if proof is Proof.PROVEN and any(each.proof is not Proof.PROVEN for each in servers):
        proof = Proof.OVERDUE
    return LedgerPlan(plan, run, achieved, proof, servers, _coverage(servers, now))


def _open_findings(now: datetime) -> dict[uuid.UUID, OpenFindings]:
    rows = Finding.objects.so(State.OPEN, now.date()).filter(plan__isnull=False).order_by()
    counted = rows.values_list("plan").annotate(open=Count("pk"), overdue=Count("pk", filter=Q(due__lt=now.date())))
    return {plan: OpenFindings(open_, overdue) for plan, open_, overdue in counted}


def _signed(runs: Collection[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    by: dict[uuid.UUID, list[str]] = defaultdict(list)
    for run, name in SignOff.objects.filter(execution__in=runs).order_by("at").values_list("execution_id", "by"):
        by[run].append(name)
    return by


def _proof(at: datetime | None, now: datetime, days: int) -> Proof:
    if at is None:
        return Proof.NEVER
    return Proof.PROVEN if at > now - timedelta(days=days) else Proof.OVERDUE


def _coverage(servers: Collection[LedgerServer], now: datetime) -> dict[int, int]:
    ages = [now - each.launch.row.launched_at for each in servers if each.launch and each.launch.row.launched_at]
    return {window: sum(age < timedelta(days=window) for age in ages) for window in WINDOWS}
