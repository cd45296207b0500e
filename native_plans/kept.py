"""What engines do with plans' copies in DRS: keep those in step whose plan says `mirrorToDrs`, finish what was begun,
remove what is wanted no more, and compare the others now and then."""

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock, db_clock
from contract.errors import Conflict
from contract.storage.prepared import Asked, Prepared
from drs.errors import DrsError
from native_plans.compiled import NativePlan, compiled
from native_plans.copies import Calls, Copy, copies, inline
from native_plans.models import Mirror
from native_plans.services import CLAIMED_FOR, WELL, kept_places, places_of, refusal_of, removed, written
from plans import services as plans
from plans.models import RecoveryPlan

log = logging.getLogger(__name__)

AT_ONCE = 20
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=20), timedelta(minutes=15)


def _free() -> Q:
    """Copies that nobody writes just now, and whose time to be tried has come."""
    free = Q(writing_since=None) | Q(writing_since__lt=Asked(Mirror, "writing_since", "claimed"))
    return free & (Q(next_try_at=None) | Q(next_try_at__lte=Asked(Mirror, "next_try_at", "now")))


def _wanted_no_more() -> QuerySet[Mirror]:
    unwanted = Q(plan=None) | Q(plan__mirror_to_drs=False, kept=True)
    return Mirror.objects.filter(_free() & unwanted).order_by("pk")[:AT_ONCE]


def _out_of_step() -> QuerySet[RecoveryPlan]:
    differs = Q(version=None) | Q(version__lt=F("plan__version")) | Q(version__gt=F("plan__version"))
    differs |= Q(kept=False) | ~Q(differs=[])
    behind = Mirror.objects.filter(_free(), Q(digest="") | (Q(plan__mirror_to_drs=True) & differs)).values("plan")
    never = Q(mirror_to_drs=True, mirror__isnull=True)
    return RecoveryPlan.objects.filter(never | Q(pk__in=behind)).order_by("pk")[:AT_ONCE]


_WANTED_NO_MORE, _OUT_OF_STEP = Prepared(_wanted_no_more), Prepared(_out_of_step)


def look(now: datetime, clock: Clock) -> Iterator[Calls[None]]:
    """The work that is due now, for the engine to run: two queries where nothing is."""
    times = {"now": now, "claimed": now - CLAIMED_FOR}
    for mirror in _WANTED_NO_MORE.objects(**times):
        yield _remove(mirror, clock)
    for plan in _OUT_OF_STEP.objects(**times):
        yield _bring(plan, clock)


def _bring(plan: RecoveryPlan, clock: Clock) -> Calls[None]:
    """Write it, unless what was changed of the plan is nothing that DRS has."""
    now, whole = clock(), {"version": plan.version, "kept": plan.mirror_to_drs, **WELL}
    same = Mirror.objects.filter(plan=plan, digest=compiled(plan).digest, differs=[], writing_since=None)
    if same.update(**whole):
        return
    try:
        yield from written(ENGINE, plan, clock)
    except Conflict:
        return  # somebody is at it
    except DrsError as error:
        for mirror in Mirror.objects.filter(key=plan.pk):
            _failed(mirror, "plan.native", error, now)


def _remove(mirror: Mirror, clock: Clock) -> Calls[None]:
    now = clock()
    try:
        yield from removed(ENGINE, mirror, clock)
    except Conflict:
        return
    except DrsError as error:
        _failed(mirror, "plan.native_removed", error, now)


def _failed(mirror: Mirror, verb: str, error: DrsError, now: datetime) -> None:
    """Tried again, later each time. The journal is told once, until AWS says something else."""
    refusal = refusal_of(error)
    text = f"{error.code}: {error.message}"
    wait = min(FIRST_WAIT * 2 ** min(mirror.tries, 10), LONGEST_WAIT)
    mine = Mirror.objects.filter(pk=mirror.pk)
    mine.update(tries=F("tries") + 1, next_try_at=now + wait, error=text, writing_since=None)
    log.warning("The copy in DRS of “%s” could not be kept in step: %s", mirror.name, text)
    if text != mirror.error:
        record(
            ENGINE,
            verb,
            subject_kind="plan",
            subject_id=mirror.key or mirror.plan_id or "",
            subject_name=mirror.name,
            outcome=refusal.code,
            detail={"message": refusal.message, **refusal.details},
        )


# Now and then


def mend(clock: Clock = db_clock) -> tuple[int, int]:
    """Finish what was begun, and compare the others with DRS; answers how many were finished, and how many could not be
    asked about or written. One plan's trouble is no other's."""
    finished = failed = 0
    for mirror in Mirror.objects.select_related("plan").exclude(plan=None).order_by("compared_at"):
        try:
            if mirror.digest:
                _compare(mirror, clock)
            elif mirror.plan is not None:
                inline(_bring(mirror.plan, clock))
                mirror.refresh_from_db()
                finished += bool(mirror.digest)
                failed += mirror.error != ""
        except Exception as error:  # said in the log, and tried again in the next round
            failed += 1
            log.warning("The copy in DRS of plan %s could not be looked after: %s", mirror.plan_id, error)
    return finished, failed


def _compare(mirror: Mirror, clock: Clock) -> None:
    plan = mirror.plan
    if plan is None:
        return
    made = compiled(plan)
    found = inline(copies(plan.pk, places_of(made.plans) | kept_places(mirror), made.plans))
    told = [*(text for each in found for text in each.differs), *_absent(made.plans, found)]
    here = sorted(places_of(made.plans) | kept_places(mirror))  # of rows that a release before has written
    columns = {"key": plan.pk, "name": plan.name, "places": here, "compared_at": clock(), "differs": told}
    Mirror.objects.filter(pk=mirror.pk, writing_since=None).update(**columns)


def _absent(wanted: Iterable[NativePlan], found: Sequence[Copy]) -> list[str]:
    known = {(each.place, each.part) for each in found}
    return [f"“{each.name}” is not in DRS." for each in wanted if (each.place, each.part) not in known]


# Columns of a plan, for `drift`
DRIFT = ("mirror_to_drs", "mirror__digest", "mirror__version", "mirror__differs", "mirror__error", "mirror__kept")


def drift(
    plan_id: uuid.UUID,
    version: int,
    wanted: bool,
    digest: str | None,
    written_version: int | None,
    differs: list[str] | None,
    error: str | None,
    kept: bool | None,
) -> str:
    """Why the copy in DRS of a plan is not what the plan is now, in a sentence, by our rows alone; empty where it is,
    or where there is to be none (`digest` is None)."""
    if kept and not wanted:
        return f"Its copy in DRS is to be removed. {_because(error)}".strip()
    if digest is None:
        return "It is to be kept in DRS, and was not written there yet." if wanted else ""
    if not digest:
        return f"Writing the plan to DRS was begun, and is not finished. {_because(error)}".strip()
    if written_version != version and compiled(plans.get(plan_id)).digest != digest:
        return f"The plan was changed since it was written to DRS. {_because(error)}".strip()
    return f"What DRS has was changed there: {' '.join(differs[:3])} {_because(error)}".strip() if differs else ""


def _because(error: str | None) -> str:
    return f"The last attempt failed: {error}" if error else ""
