"""Keeps the readiness of every plan for lists: an engine weighs a few plans a round, so that no poll waits.

What is kept says nothing of the plan's own run nor of the engine: lists read both live, and it would be untrue as soon
as the run ends or the engine dies.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from audit.actor import ENGINE
from audit.journal import record
from audit.models import AuditEntry
from contract.chunks import chunks
from contract.rights import EVERYWHERE, Reach
from contract.storage.prepared import Asked, Prepared
from executions.codes.readiness import Against
from executions.models import Execution, PlanReadiness
from executions.readiness.assessment import assess
from executions.readiness.facts import believed_for, facts_of
from executions.readiness.grounds import Grounds, grounds
from executions.readiness.terms import Readiness, Reason
from executions.states import Verdict
from plans.models import RecoveryPlan, WaveServer
from protection.models import RegionInventory, SourceServer

PLANS_A_ROUND = 50
WEIGHED_EVERY = timedelta(minutes=2)
KEPT_FOR = timedelta(minutes=15)  # then a verdict is weighed even on the same grounds: they might leave something out
SETTLING = timedelta(seconds=10)  # a start or an end may be committed so long after its own time
_MOST = PLANS_A_ROUND  # that any round takes
KEPT_REASONS = 5

Due = tuple[uuid.UUID, int, datetime | None]


def refresh(now: datetime) -> int:
    """Weigh the plans that were never weighed, were changed or run since, or not lately; answers how many. What a
    verdict rests on is looked at each time; while it is as it was, the verdict is kept without being weighed."""
    run_since = _run_since(now)
    old = now - WEIGHED_EVERY
    due = list(_due(run_since, old)) if run_since else _DUE.rows(checked_at=old)
    if not due:
        return 0
    renewed = set[uuid.UUID]()
    if any(checked_at is None or checked_at < old for *_, checked_at in due) and _is_time_to_look(now):
        renewed = _renew(grounds(now, believed_for()), now)
    plans = dict([(pk, version) for pk, version, _ in due if pk not in renewed][:PLANS_A_ROUND])
    if not plans:
        return 0
    found = grounds(now, believed_for(), plans)  # before all else is read: what changes meanwhile is seen the next time
    return _weigh(plans, found, now)


_looked_at = datetime.min.replace(tzinfo=UTC)  # at the grounds of all plans


def _is_time_to_look(now: datetime) -> bool:
    """Not again while the rounds go on in which those are weighed whose grounds were found to be others."""
    global _looked_at
    if timedelta(0) <= now - _looked_at < WEIGHED_EVERY / 2:
        return False
    _looked_at = now
    return True


# By this process, when it was weighed, and when its row was last written: a row that says so is its own.
_weighed_on: dict[uuid.UUID, tuple[Grounds, datetime, datetime]] = {}


def _renew(found: Mapping[uuid.UUID, Grounds], now: datetime) -> set[uuid.UUID]:
    """Keep the verdicts that this process has weighed on these very grounds, and that no other has weighed since."""
    same: dict[tuple[datetime, datetime | None], list[uuid.UUID]] = defaultdict(list)
    for plan, each in found.items():
        known, weighed_at, checked_at = _weighed_on.get(plan, (None, now, now))
        if known is not None and known.told == each.told and now - weighed_at < KEPT_FOR:
            same[checked_at, each.expires_at].append(plan)
    for plan in _weighed_on.keys() - found.keys():  # deleted
        del _weighed_on[plan]
    renewed = set[uuid.UUID]()
    for (checked_at, expires_at), plans in same.items():
        for some in chunks(plans):
            rows = PlanReadiness.objects.filter(plan__in=some, checked_at=checked_at)
            if rows.update(checked_at=now, expires_at=expires_at) == len(some):
                renewed.update(some)
                _weighed_on.update((plan, (found[plan], _weighed_on[plan][1], now)) for plan in some)
            else:  # which of them are another's is not known
                for plan in some:
                    del _weighed_on[plan]
    return renewed


def _weigh(plans: Mapping[uuid.UUID, int], on: Mapping[uuid.UUID, Grounds], now: datetime) -> int:
    weighed = _weighed(plans, now)
    rows = [
        PlanReadiness(
            plan_id=plan,
            plan_version=plans[plan],
            verdict=found.verdict,
            reasons=[reason.text for reason in found.reasons[:KEPT_REASONS]],
            drill_overdue=_overdue(found) is not None,
            checked_at=now,
            expires_at=found.expires_at,
        )
        for plan, found in weighed.items()
    ]
    try:
        with transaction.atomic():
            _tell_changes(weighed)
            PlanReadiness.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=["plan"],
                update_fields=["plan_version", "verdict", "reasons", "drill_overdue", "checked_at", "expires_at"],
            )
    except IntegrityError:  # one of the plans was deleted meanwhile; the next round goes without it
        return 0
    for plan in weighed:
        _weighed_on.pop(plan, None)
        if plan in on:
            _weighed_on[plan] = on[plan], now, now
    return len(rows)


def _due(run_since: Q, old: datetime | Asked) -> QuerySet[RecoveryPlan, Due]:
    stale = Q(readiness=None) | Q(readiness__checked_at__lt=old)
    changed = ~Q(readiness__plan_version=F("version"))
    due = RecoveryPlan.objects.filter(stale | changed | run_since | _learned_since())
    oldest = due.order_by(F("readiness__checked_at").asc(nulls_first=True), "pk")
    return oldest.values_list("pk", "version", "readiness__checked_at")[:_MOST]


_DUE = Prepared(lambda: _due(Q(), Asked(PlanReadiness, "checked_at")))  # while nothing starts or ends


def _tell_changes(weighed: Mapping[uuid.UUID, Readiness]) -> None:
    """The journal says what is new, once, whichever engine writes the rows: they are locked, and what they say is what
    was told. Of a plan that was never weighed nothing is: there is nothing that changed."""
    known = PlanReadiness.objects.select_for_update(of=["self"]).select_related("plan").filter(plan__in=list(weighed))
    for row in known.order_by("pk"):
        found = weighed[row.plan_id]
        if row.verdict != found.verdict:
            reasons = [reason.text for reason in found.reasons[:KEPT_REASONS]]
            _note(row, "readiness.changed", before=row.verdict, verdict=found.verdict.value, reasons=reasons)
        overdue = _overdue(found)
        if overdue is not None and not row.drill_overdue:
            _note(row, "drill.overdue", text=overdue.text)


def _overdue(found: Readiness) -> Reason | None:
    return next((each for each in found.reasons if each.code is Against.DRILL_OVERDUE), None)


def _note(row: PlanReadiness, verb: str, **detail: object) -> None:
    record(ENGINE, verb, subject_kind="plan", subject_id=row.plan_id, subject_name=row.plan.name, detail=detail)


def told_in_journal(entry: AuditEntry) -> str:
    """The sentence of an entry about a plan's readiness for the page of the journal; empty for any other."""
    if entry.verb == "drill.overdue":
        return f"A drill is overdue: {entry.detail['text']}"
    if entry.verb != "readiness.changed":
        return ""
    before, verdict = (Verdict.of(entry.detail[name]).label.lower() for name in ("before", "verdict"))
    why = " ".join(entry.detail["reasons"][:1])
    return f"Its readiness changed from {before} to {verdict}{f': {why}' if why else ''}"


def _run_since(now: datetime) -> Q:
    """The plans that share a server with a run that started or ended since they were weighed. One query when none."""
    since = now - WEIGHED_EVERY
    recent = Execution.objects.filter(Q(started_at__gte=since) | Q(ended_at__gte=since), dry_run=False)
    moved = list(recent.exclude(plan=None).order_by().values_list("plan_id", "started_at", "ended_at"))
    if not moved:
        return Q()
    last = max(ended_at or started_at for _, started_at, ended_at in moved)
    servers = WaveServer.objects.filter(plan__in=[plan for plan, *_ in moved]).values("assignment")
    sharing = WaveServer.objects.filter(assignment__in=servers).values("plan")
    return Q(pk__in=sharing, readiness__checked_at__lt=last + SETTLING)


def _learned_since() -> Q:
    """The plans of which too little was known, where servers of theirs, or a region, have been read since."""
    members = WaveServer.objects.filter(plan=OuterRef(OuterRef("pk"))).values("assignment__source_server_id")
    read = SourceServer.objects.filter(details_as_of__gt=OuterRef("readiness__checked_at"), pk__in=members)
    regions = RegionInventory.objects.filter(jobs_as_of__gt=OuterRef("readiness__checked_at"))
    unknown = Q(readiness__verdict=Verdict.UNKNOWN)  # first: of the others SQLite then asks nothing more
    return unknown & (Q(Exists(regions)) | Q(Exists(read)))


def _weighed(plans: Collection[uuid.UUID], now: datetime) -> dict[uuid.UUID, Readiness]:
    believed = believed_for()
    kept = (replace(facts, active_status="", engine_alive=True) for facts in facts_of(plans))
    return {facts.plan_id: assess(facts, now, believed) for facts in kept}


@dataclass(frozen=True)
class Overview:
    """How many plans run, how many of the others have which verdict, best first, and the worst that are not ready.

    `against` is what stands against every one of them.
    """

    running: int
    counts: dict[Verdict, int]
    worst: list[tuple[RecoveryPlan, Verdict, str]]
    against: str = ""

    @property
    def total(self) -> int:
        return self.running + sum(self.counts.values())

    @property
    def worst_left_out(self) -> int:
        """How many more are not ready than `worst` has."""
        return 0 if self.against else self.counts[Verdict.NOT_READY] - len(self.worst)


def overview(now: datetime, rows: int, *, engine_alive: bool, sees: Reach = EVERYWHERE) -> Overview:
    """What was last weighed; a verdict whose grounds are too old, or whose plan was changed since, is not known, and
    without an engine none is ready, whatever was weighed while one ran."""
    active = Execution.objects.seen_by(sees).active().filter(dry_run=False, plan__isnull=False)
    running = list(active.order_by().values_list("plan_id", flat=True))
    others = RecoveryPlan.objects.seen_by(sees).exclude(pk__in=running)
    if not engine_alive:
        counts = {each: others.count() if each is Verdict.NOT_READY else 0 for each in Verdict}
        return Overview(len(running), counts, [], str(Against.ENGINE_NOT_ALIVE.explanation))
    known = others.filter(readiness__expires_at__gt=now, readiness__plan_version=F("version"))
    weighed = Counter(dict(known.order_by().values_list("readiness__verdict").annotate(n=Count("pk"))))
    bad = known.filter(readiness__verdict=Verdict.NOT_READY).select_related("readiness").order_by("name_key")
    unknown = others.count() - sum(weighed.values())
    return Overview(
        len(running),
        {each: weighed[each.value] + (unknown if each is Verdict.UNKNOWN else 0) for each in Verdict},
        [(plan, Verdict.NOT_READY, plan.readiness.reasons[0]) for plan in bad[:rows]],
    )
