"""The ledger: what of the installation has proven that it comes up, when, in which time, and how much of it that is."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from contract.chunks import chunks
from executions.measuring.many_runs import HEAVY
from executions.measuring.proven import (
    Achieved,
    Last,
    Launch,
    achieved_of,
    completed_at,
    last_launches,
    launch_for,
    rows_of,
)
from executions.measuring.rta_rpa import Verdict
from executions.models import Execution
from findings.models import Finding, SignOff
from findings.states import State
from plans.models import RecoveryPlan, RecoveryPlanQuerySet, WaveServer
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
class Standing:
    """How some plans stand, of which nothing else is read: for each its servers with their waves, when each server was
    last launched, and when the run that proves it ended."""

    now: datetime
    days: int
    servers: Mapping[uuid.UUID, Sequence[tuple[str, int]]]
    launched: Mapping[str, Last]
    completed: Mapping[uuid.UUID, datetime]

    def proof(self, plan: uuid.UUID) -> Proof:
        """A plan counts as proven by its last complete run, as long as each of its servers is: one that was added since
        has not been launched with it."""
        found = self._proof(self.completed.get(plan))
        if found is Proof.PROVEN and self.proven(plan) < len(self.servers[plan]):
            return Proof.OVERDUE
        return found

    def proven(self, plan: uuid.UUID) -> int:
        """How many of its servers are."""
        return sum(self.of_server(server) is Proof.PROVEN for server, _ in self.servers[plan])

    def of_server(self, server: str) -> Proof:
        last = self.launched.get(server)
        return self._proof(last.at if last else None)

    def coverage(self, servers: Iterable[str]) -> dict[int, int]:
        ages = [self.now - self.launched[server].at for server in servers if server in self.launched]
        return {window: sum(age < timedelta(days=window) for age in ages) for window in WINDOWS}

    def _proof(self, at: datetime | None) -> Proof:
        if at is None:
            return Proof.NEVER
        return Proof.PROVEN if at > self.now - timedelta(days=self.days) else Proof.OVERDUE


@dataclass(frozen=True)
class LedgerPlan:
    """A plan, the run that proves it, if any, and its servers, where they are asked for."""

    plan: RecoveryPlan
    run: Execution | None
    achieved: Achieved | None
    proof: Proof
    servers: Sequence[LedgerServer]
    total: int
    proven_servers: int
    coverage: Mapping[int, int]
    findings: OpenFindings = OpenFindings()
    signed_off_by: Sequence[str] = ()  # of the run that proves it

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
    """`counts` says how many plans are so. `coverage` says of how many servers in plans, `total`, a launch succeeded
    within so many days; one in several plans counts once. `unplanned` counts those of the inventory that no plan names,
    which no run can prove. All of them are of all plans, or of those of one `account`, however many are in `plans`."""

    as_of: datetime
    days: int
    plans: Sequence[LedgerPlan]
    counts: Mapping[Proof, int]
    coverage: Mapping[int, int]
    total: int
    unplanned: int
    account: str = ""


def ledger_plans(account: str = "") -> RecoveryPlanQuerySet:
    """The plans of the ledger, by name."""
    plans = RecoveryPlan.objects.order_by("name_key")
    return plans.in_account(account) if account else plans


def ledger(now: datetime, days: int = DAYS, account: str = "", shown: Sequence[RecoveryPlan] | None = None) -> Ledger:
    """The whole, in a fixed number of queries: with every plan and its servers, or with those that are `shown` alone,
    without their servers."""
    plans = list(ledger_plans(account)) if shown is None else list(shown)
    of = ledger_plans(account).values_list("pk", flat=True).order_by()
    standing = standing_of(list(of), now, days)
    in_plans = {server for servers in standing.servers.values() for server, _ in servers}
    counts = Counter(standing.proof(pk) for pk in standing.servers)
    return Ledger(
        now,
        days,
        of_plans([each for each in plans if each.pk in standing.servers], standing, with_servers=shown is None),
        {proof: counts[proof] for proof in Proof},
        standing.coverage(in_plans),
        len(in_plans),
        _unplanned(account),
        account,
    )


def _unplanned(account: str) -> int:
    free = SourceServer.objects.present().exclude(pk__in=WaveServer.objects.values("assignment_id"))
    return (free.filter(account_id=account) if account else free).count()


def standing_of(plans: Collection[uuid.UUID], now: datetime, days: int) -> Standing:
    rows = WaveServer.objects.filter(plan__in=plans)
    servers: dict[uuid.UUID, list[tuple[str, int]]] = {each: [] for each in plans}
    placed = rows.order_by("wave__number", "position").values_list("plan_id", "assignment_id", "wave__number")
    for plan, server, wave in placed:
        servers[plan].append((str(server), wave))
    return Standing(now, days, servers, last_launches(rows), completed_at(plans))


def of_plans(plans: Sequence[RecoveryPlan], standing: Standing, *, with_servers: bool) -> list[LedgerPlan]:
    """All that the ledger says of each of these plans, in a fixed number of queries."""
    by_id = {each.pk: each for each in plans}
    proven, filed = _proven(by_id), _open_findings(standing.now)
    signed = _signed({run.pk for run, _ in proven.values()})
    servers = _servers(by_id, standing) if with_servers else {}
    found = []
    for pk, plan in by_id.items():
        run, achieved = proven.get(pk, (None, None))
        ids = [server for server, _ in standing.servers[pk]]
        figures = LedgerPlan(
            plan, run, achieved, standing.proof(pk), servers.get(pk, ()), len(ids), standing.proven(pk),
            standing.coverage(ids), filed.get(pk, OpenFindings()), signed[run.pk] if run else (),
        )  # fmt: skip
        found.append(figures)
    return found


def _servers(plans: Mapping[uuid.UUID, RecoveryPlan], standing: Standing) -> dict[uuid.UUID, list[LedgerServer]]:
    ids = {server for plan in plans for server, _ in standing.servers[plan]}
    rows, names = rows_of({key: each for key, each in standing.launched.items() if key in ids}), _names(ids)
    return {
        pk: [
            LedgerServer(
                server,
                names.get(server, server),
                wave,
                launch_for(rows[server], plan) if server in rows else None,
                standing.of_server(server),
            )
            for server, wave in standing.servers[pk]
        ]
        for pk, plan in plans.items()
    }


def _names(ids: Collection[str]) -> dict[str, str]:
    named = dict[str, str]()
    for some in chunks(list(ids)):
        rows = SourceServer.objects.filter(pk__in=some).values_list("pk", "name", "hostname")
        named |= {pk: name or hostname or pk for pk, name, hostname in rows}
    return named


def _proven(plans: Mapping[uuid.UUID, RecoveryPlan]) -> dict[uuid.UUID, tuple[Execution, Achieved]]:
    """The last run that proves each plan that has one, and what was achieved in it."""
    achieved = achieved_of(plans)
    runs = Execution.objects.defer(*HEAVY).in_bulk([each.run for each in achieved.values()])
    return {plan: (runs[each.run], each) for plan, each in achieved.items() if each.run in runs}


def _open_findings(now: datetime) -> dict[uuid.UUID, OpenFindings]:
    rows = Finding.objects.so(State.OPEN, now.date()).filter(plan__isnull=False).order_by()
    counted = rows.values_list("plan").annotate(open=Count("pk"), overdue=Count("pk", filter=Q(due__lt=now.date())))
    return {plan: OpenFindings(open_, overdue) for plan, open_, overdue in counted}


def _signed(runs: Collection[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    by: dict[uuid.UUID, list[str]] = defaultdict(list)
    for run, name in SignOff.objects.filter(execution__in=runs).order_by("at").values_list("execution_id", "by"):
        by[run].append(name)
    return by
