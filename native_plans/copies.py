"""What DRS has of a plan: recovery plans of its own with our tag, compared with what the plan would be there.

Every question to DRS is yielded, as a call that touches no database: an engine makes it in a thread, whoever waits for
the answer makes it in place (`inline`).
"""

import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from drs.errors import DrsError, Trouble
from drs.native_plans import NativePlans, PlanInDrs, StepInDrs
from native_plans.compiled import DIGEST_TAG, PLAN_TAG, NativePlan, NativeStep, Place, is_named_as_copy, key_of

T = TypeVar("T")
Calls = Generator[Callable[[], Any], Any, T]

UNFINISHED = "unfinished"  # instead of a digest, while a plan in DRS is not whole


def inline(calls: Calls[T]) -> T:
    """Make each call in this thread."""
    try:
        call = next(calls)
        while True:
            try:
                answer = call()
            except DrsError as error:
                call = calls.throw(error)
            else:
                call = calls.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


@dataclass(frozen=True)
class Copy:
    """A recovery plan of DRS that is, or was, a copy of a plan of ours, and what it has otherwise than wanted."""

    place: Place
    in_drs: PlanInDrs
    part: int
    steps: Sequence[StepInDrs]
    differs: Sequence[str]

    @property
    def digest(self) -> str:
        return (self.in_drs.tags or {}).get(DIGEST_TAG, "")


def at(place: Place) -> NativePlans:
    account, region = place
    return NativePlans(region, account)


def copies(plan_id: uuid.UUID, places: Iterable[Place], wanted: Sequence[NativePlan]) -> Calls[list[Copy]]:
    """What DRS has of a plan in these places. Raises DrsError."""
    found = []
    for place in sorted(set(places)):
        found += yield from copies_at(plan_id, place, [each for each in wanted if each.place == place])
    return found


def copies_at(plan_id: uuid.UUID, place: Place, wanted: Sequence[NativePlan]) -> Calls[list[Copy]]:
    """In the order of their parts. Only plans with our tag are ours, whatever they are called."""
    drs, by_part, found = at(place), {each.part: each for each in wanted}, []
    for arn in (yield from _named_so(drs, plan_id)):
        told: PlanInDrs | None = yield partial(_plan_if_there, drs, arn)
        if told and (told.tags or {}).get(PLAN_TAG) == str(plan_id):
            steps: list[StepInDrs] = yield partial(drs.steps, arn)
            part = _part_of(told.name)
            found.append(Copy(place, told, part, steps, differences(by_part.get(part), told, steps)))
    return sorted(found, key=lambda each: (each.part, each.in_drs.arn))


def _plan_if_there(drs: NativePlans, arn: str) -> PlanInDrs | None:
    """Others' plans may be deleted since they were listed."""
    try:
        return drs.plan(arn)
    except DrsError as error:
        if error.trouble is Trouble.NOT_FOUND:
            return None
        raise


def _named_so(drs: NativePlans, plan_id: uuid.UUID) -> Calls[list[str]]:
    """Those that may be copies of it by their names: with its key, or with none, as somebody may have renamed one."""
    listed: list[PlanInDrs] = yield partial(drs.plans)
    return [each.arn for each in listed if f" {key_of(plan_id)} " in each.name or not is_named_as_copy(each.name)]


def _part_of(name: str) -> int:
    words = name.split()
    return int(words[-3]) if len(words) > 3 and words[-3].isdecimal() else 0


def differences(wanted: NativePlan | None, told: PlanInDrs, steps: Sequence[StepInDrs]) -> list[str]:
    """What DRS has otherwise, in sentences; nothing where it is the same."""
    if wanted is None:
        return [f"“{told.name}” is a part that the plan does not have any more."]
    found = [] if told.name == wanted.name else [f"It is called “{told.name}” instead of “{wanted.name}”."]
    if (told.tags or {}).get(DIGEST_TAG) == UNFINISHED:
        found.append("Writing it was begun, and not finished.")
    if told.status == "INVALID":
        found.append("DRS says that it is invalid.")
    for number, (step, there) in enumerate(zip(wanted.steps, steps, strict=False), 1):
        if not is_same(step, there):
            found.append(f"Its step {number}, “{there.name}”, is not “{step.name}” as the plan has it.")
    if len(wanted.steps) != len(steps):
        found.append(f"It has {len(steps)} steps instead of {len(wanted.steps)}.")
    return found


def is_same(wanted: NativeStep, there: StepInDrs) -> bool:
    servers = [(each.id, each.optional) for each in wanted.servers]
    return (wanted.name, sorted(servers), wanted.wait_minutes) == (
        there.name,
        sorted(there.servers),
        there.wait_minutes,
    )
