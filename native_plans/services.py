"""A plan's copy in DRS: looked at, written, repaired after a crash half-way, removed.

Whoever writes claims the row of the copy first, without a transaction over AWS. A write that did not end leaves the
copy without a digest: whoever looks next, a person or an engine, writes it whole. Nothing is remembered of how far it
was: DRS is asked what it has. Only where to ask is kept, before anything is sent there.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import Q

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import Conflict, DomainError, Invalid
from drs.errors import DrsError, Trouble
from native_plans.compiled import DIGEST_TAG, PLAN_TAG, Compiled, NativePlan, Place, compiled
from native_plans.copies import UNFINISHED, Calls, Copy, at, copies, copies_at, inline, is_same
from native_plans.models import Mirror
from plans import services as plans
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan
from protection.inventory.drs_refusals import drs_trouble

CHANGE = "plans.change_recoveryplan"
BUSY = "NATIVE_PLAN_BUSY"
CLAIMED_FOR = timedelta(minutes=2)  # no write takes longer


def look(plan_id: uuid.UUID) -> tuple[Compiled, list[Copy]]:
    """The plan as DRS could have it, and what DRS has. Raises NotFound, and the contract's DRS errors. Never inside a
    transaction."""
    plan = plans.get(plan_id)
    made = compiled(plan)
    places = places_of(made.plans) | kept_places(Mirror.objects.filter(plan=plan).first())
    try:
        return made, inline(copies(plan.pk, places, made.plans))
    except DrsError as error:
        raise drs_trouble(error) from error


def refusal_of(error: DrsError) -> DomainError:
    """Servers that DRS does not know any more are no outage: somebody has to take them out of the plan."""
    if error.trouble is not Trouble.NOT_FOUND:
        return drs_trouble(error)
    text = f"DRS in {error.region} does not know all servers of this plan: {error.message} Take them out of its waves."
    details = {"awsCode": error.code, "awsMessage": error.message, "region": error.region}
    return Invalid({"waves": [text]}, code="INVALID_SERVER_IDS", details=details)


def places_of(made: Iterable[NativePlan]) -> set[Place]:
    return {each.place for each in made}


def kept_places(mirror: Mirror | None) -> set[Place]:
    """Where copies were written, or may have been."""
    return {(account, region) for account, region in (mirror.places if mirror else None) or ()}


# Writing


@attempt("plan.native", "plan", subject="plan_id")
def write(*, actor: Actor, plan_id: uuid.UUID, clock: Clock = db_clock) -> tuple[Compiled, list[Copy]]:
    """Create the plan in DRS, or bring what is there in line. Raises Forbidden, NotFound, Conflict (NATIVE_PLAN_BUSY),
    and the contract's DRS errors; after those the copy is unfinished, and an engine goes on with it. Never inside a
    transaction."""
    actor = at_plan(actor, plan_id)
    actor.require(CHANGE, "change recovery plans")
    try:
        return inline(written(actor, plans.get(plan_id), clock))
    except DrsError as error:
        raise refusal_of(error) from error


def written(actor: Actor, plan: RecoveryPlan, clock: Clock) -> Calls[tuple[Compiled, list[Copy]]]:
    """The plan as DRS could have it, and as it has it then. Raises Conflict (NATIVE_PLAN_BUSY), and DrsError."""
    made = compiled(plan)
    places = places_of(made.plans)
    everywhere = places | _claim(plan, places, clock())
    try:
        changed = yield from _bring_all(plan, made, everywhere)
        found = yield from copies(plan.pk, places, made.plans)
    except DrsError:
        Mirror.objects.filter(key=plan.pk).update(writing_since=None)
        raise
    now, told = clock(), [text for each in found for text in each.differs]  # by somebody who wrote at the same time
    Mirror.objects.filter(key=plan.pk).update(
        writing_since=None, version=plan.version, digest=made.digest, written_at=now, compared_at=now, differs=told,
        places=sorted(places), kept=plan.mirror_to_drs, **WELL,
    )  # fmt: skip
    if changed:
        _note(actor, plan.pk, plan.name, "plan.native", version=plan.version, plans=changed, digest=made.digest)
    return made, found


WELL: dict[str, Any] = {"tries": 0, "next_try_at": None, "error": ""}


def _claim(plan: RecoveryPlan, places: set[Place], now: datetime) -> set[Place]:
    """From here on the copy is unfinished, until it is written whole; answers where there may be one already."""
    mirror, _ = Mirror.objects.get_or_create(plan=plan, defaults={"key": plan.pk, "name": plan.name})
    before = kept_places(mirror)
    columns = {"key": plan.pk, "name": plan.name, "places": sorted(places | before), "digest": ""}
    if not _claimed(mirror, now, **columns):
        raise Conflict(BUSY, f"“{plan.name}” is being written to DRS. Try again in a minute or two.")
    return before


def _claimed(mirror: Mirror, now: datetime, **columns: Any) -> bool:
    free = Q(writing_since=None) | Q(writing_since__lt=now - CLAIMED_FOR)
    return bool(Mirror.objects.filter(free, pk=mirror.pk).update(writing_since=now, **columns))


def _bring_all(plan: RecoveryPlan, made: Compiled, places: set[Place]) -> Calls[list[str]]:
    """Answers the names of the plans of DRS that were changed. Raises DrsError."""
    changed: list[str] = []
    for place in sorted(places):
        wanted = [each for each in made.plans if each.place == place]
        by_part: dict[int, Copy] = {}
        for each in (yield from copies_at(plan.pk, place, wanted)):
            if each.part in {one.part for one in wanted} and each.part not in by_part:
                by_part[each.part] = each
            else:
                yield partial(at(place).delete, each.in_drs.arn)  # a part too many, or one that was made twice
                changed.append(each.in_drs.name)
        for one in wanted:
            changed += yield from _bring(plan, one, by_part.get(one.part))
    return changed


def _bring(plan: RecoveryPlan, wanted: NativePlan, there: Copy | None) -> Calls[list[str]]:
    """Answers its name when something was changed. Until the last call its tag says that it is unfinished."""
    drs = at(wanted.place)
    if there is not None and not there.differs and there.digest == wanted.digest:
        return []
    tags = {PLAN_TAG: str(plan.pk), DIGEST_TAG: UNFINISHED}
    if there is None:
        arn = yield partial(drs.create, wanted.name, wanted.description, tags, uuid.uuid4().hex)
        steps: Sequence[Any] = []
    else:
        arn, steps = there.in_drs.arn, list(there.steps)
        yield partial(drs.tag, arn, tags)
        yield partial(drs.rename, arn, wanted.name, wanted.description)
    same = 0
    while same < min(len(steps), len(wanted.steps)) and is_same(wanted.steps[same], steps[same]):
        same += 1
    for each in reversed(steps[same:]):
        yield partial(drs.delete_step, each.arn)
    for step in wanted.steps[same:]:
        servers = [(each.id, each.optional) for each in step.servers]
        yield partial(drs.add_step, arn, step.name, servers, step.wait_minutes, uuid.uuid4().hex)
    yield partial(drs.tag, arn, {DIGEST_TAG: wanted.digest})
    return [wanted.name]


# Removing


def removed(actor: Actor, mirror: Mirror, clock: Clock) -> Calls[None]:
    """Delete what DRS has of a plan that is gone, or is to be kept there no more: plans with our tag and its id, and
    nobody else's. Raises Conflict (NATIVE_PLAN_BUSY), and DrsError."""
    key = mirror.key or mirror.plan_id
    if key is None or not _claimed(mirror, clock(), digest=""):
        raise Conflict(BUSY, f"“{mirror.name}” is being written to DRS. Try again in a minute or two.")
    gone = []
    try:
        for each in (yield from copies(key, kept_places(mirror), [])):
            yield partial(at(each.place).delete, each.in_drs.arn)
            gone.append(each.in_drs.name)
    except DrsError:
        Mirror.objects.filter(pk=mirror.pk).update(writing_since=None)
        raise
    Mirror.objects.filter(pk=mirror.pk).delete()
    _note(actor, key, mirror.name, "plan.native_removed", plans=gone)


def _note(actor: Actor, key: uuid.UUID, name: str, verb: str, **detail: Any) -> None:
    record(actor, verb, subject_kind="plan", subject_id=key, subject_name=name, detail=detail)
