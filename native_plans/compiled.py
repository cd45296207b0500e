"""A plan as recovery plans of DRS: what they can say of it, and what they cannot. Pure: waves in, steps out.

A recovery plan of DRS lies in one account and region, has at most twenty steps and a hundred servers, and does its
steps one after the other: either servers, launched together, or a wait of at most two hours.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from drs.native_plans import PlanInDrs
from plans.models import OnFailure, RecoveryPlan, SuccessMeans, Wave

MOST_STEPS, MOST_SERVERS, MOST_WAIT_MINUTES, NAME_MAX = 20, 100, 120, 256
PLAN_TAG, DIGEST_TAG = "drsorch:plan", "drsorch:digest"
_TAIL = re.compile(" [0-9a-f]{8} [0-9]+ of [0-9]+$")  # of a copy's name
_NOT_IN_NAMES = re.compile("[^a-zA-Z0-9 _-]+")

Place = tuple[str, str]  # account, region


@dataclass(frozen=True)
class NativeServer:
    id: str
    optional: bool


@dataclass(frozen=True)
class NativeStep:
    """Servers that are launched together, or a wait."""

    name: str
    servers: tuple[NativeServer, ...] = ()
    wait_minutes: int = 0


@dataclass(frozen=True)
class NativePlan:
    """One recovery plan of DRS; `part` of `parts` of a plan that is too large for one."""

    place: Place
    name: str
    description: str
    steps: tuple[NativeStep, ...]
    part: int
    parts: int

    @property
    def digest(self) -> str:
        told = [[each.name, [[s.id, s.optional] for s in each.servers], each.wait_minutes] for each in self.steps]
        text = json.dumps([self.name, self.description, told], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class NotExpressed:
    """Something that the plan says and recovery plans of DRS cannot."""

    what: str
    where: str
    why: str


@dataclass(frozen=True)
class Compiled:
    plans: Sequence[NativePlan]
    not_expressed: Sequence[NotExpressed]

    @property
    def digest(self) -> str:
        told = [[*each.place, each.digest] for each in self.plans]
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()


def compiled(plan: RecoveryPlan) -> Compiled:
    """`plan` as it is now; four queries."""
    rows = plan.waves.prefetch_related("servers__assignment__group", "depends_on").order_by("number")
    waves = list(rows)
    units: dict[Place, list[NativeStep]] = {}
    for wave in waves:
        for place, steps in _steps_of(wave):
            units.setdefault(place, []).extend(steps)
    plans = [each for place, steps in sorted(units.items()) for each in _packed(plan, place, steps)]
    return Compiled(plans, list(_not_expressed(plan, waves, plans)))


def key_of(plan_id: uuid.UUID) -> str:
    """What a name in DRS has of the plan's id, so that a plan that was renamed is found again."""
    return plan_id.hex[:8]


def is_named_as_copy(name: str) -> bool:
    """Whether a copy, of whichever plan, is called so by us."""
    return _TAIL.search(name) is not None


def name_of_copied(copy: PlanInDrs) -> str:
    """What the plan was called of which this is a copy; empty for what has not our tag."""
    return _TAIL.sub("", copy.name) if PLAN_TAG in (copy.tags or {}) else ""


def _steps_of(wave: Wave) -> Iterator[tuple[Place, list[NativeStep]]]:
    """A wave's steps by place: its wait, and its servers, at most a hundred a step."""
    title = f"Wave {wave.number + 1} {_clean(wave.name)}".strip()[:200]
    placed = [
        (
            (each.assignment.group.account_id, each.assignment.group.region),
            at,
            NativeServer(each.source_server_id, each.optional),
        )
        for at, each in enumerate(wave.servers.all())
    ]
    for place, members in groupby(sorted(placed, key=lambda each: each[:2]), key=lambda each: each[0]):
        servers = [server for *_, server in members]
        chunks = [servers[at : at + MOST_SERVERS] for at in range(0, len(servers), MOST_SERVERS)]
        steps = [
            NativeStep(title if len(chunks) == 1 else f"{title} part {at}", tuple(some))
            for at, some in enumerate(chunks, 1)
        ]
        yield place, [*_waits(wave), *steps]


def _waits(wave: Wave) -> Iterator[NativeStep]:
    left, part = wave.wait_minutes_before, 1
    while left > 0:
        minutes = min(left, MOST_WAIT_MINUTES)
        yield NativeStep(f"Wait before wave {wave.number + 1}" + (f" part {part}" if part > 1 else ""), (), minutes)
        left, part = left - minutes, part + 1


def _clean(name: str) -> str:
    return " ".join(_NOT_IN_NAMES.sub(" ", name).split())


def _packed(plan: RecoveryPlan, place: Place, steps: Iterable[NativeStep]) -> list[NativePlan]:
    """As few plans as DRS's limits allow, in order."""
    packs: list[list[NativeStep]] = [[]]
    for step in steps:
        servers = sum(len(each.servers) for each in packs[-1]) + len(step.servers)
        if packs[-1] and (len(packs[-1]) >= MOST_STEPS or servers > MOST_SERVERS):
            packs.append([])
        packs[-1].append(step)
    tail = f"{key_of(plan.pk)}"
    name = (_clean(plan.name) or "Plan")[: NAME_MAX - 40].strip()
    name = name if name[0].isalnum() else f"Plan {name}"
    return [
        NativePlan(
            place,
            f"{name} {tail} {at} of {len(packs)}",
            f"Made by DRS Orchestration of the plan {plan.pk}; changes here are overwritten.",
            tuple(each),
            at,
            len(packs),
        )
        for at, each in enumerate(packs, 1)
    ]


def _not_expressed(plan: RecoveryPlan, waves: Sequence[Wave], plans: Sequence[NativePlan]) -> Iterator[NotExpressed]:
    if plan.start_gate:
        yield NotExpressed("START_GATE", "the plan", "A recovery plan of DRS starts without anybody's approval.")
    if len({each.place for each in plans}) > 1:
        why = "A recovery plan of DRS lies in one account and region: start one after the other, wave by wave."
        yield NotExpressed("PLACES", "the plan", why)
    if any(each.parts > 1 for each in plans):
        why = f"DRS takes {MOST_STEPS} steps and {MOST_SERVERS} servers a plan: start the numbered plans in order."
        yield NotExpressed("PARTS", "the plan", why)
    for wave in waves:
        where = f"wave {wave.number + 1}, {wave.name}"
        yield from (NotExpressed(what, where, why) for what, why in _of_wave(wave))


def _of_wave(wave: Wave) -> Iterator[tuple[str, str]]:
    needs = sorted(each.number for each in wave.depends_on.all())
    if wave.gate or wave.pause_before:
        yield "GATE", "DRS does not wait for a person: it goes on with this wave by itself."
    if needs and needs != [wave.number - 1]:
        yield "DEPENDENCY", "Steps of DRS follow each other; none is left out because another one failed."
    if OnFailure(wave.on_failure) is not OnFailure.STOP:
        yield "ON_FAILURE", "DRS stops after a step in which a server that is not optional failed."
    if wave.success_means != SuccessMeans.LAUNCHED:
        yield "SUCCESS_MEANS", "DRS counts a server as done when it is launched."
    if wave.timeout_minutes:
        yield "TIMEOUT", "A step of DRS takes as long as DRS lets it."
