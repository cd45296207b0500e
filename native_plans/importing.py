"""A recovery plan of DRS as groups and a plan of ours: what would be made of it, what stands against that, and making
it, all of it or nothing.

Each step with servers becomes a wave. Servers that are in a group already keep it; the others of a step become a group.
What of it cannot be said here, and what DRS does not know any more, is left out and listed: nothing goes silently.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from accounts.registry import way_of
from audit.actor import Actor
from audit.journal import attempt, record
from contract.errors import Conflict, DomainError, Invalid, VersionConflict
from contract.names import name_key
from contract.rights import ANYTHING, Thing, as_id
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.native_plans import NativePlans, PlanInDrs, StepInDrs, place_of
from native_plans.compiled import PLAN_TAG, NativeServer, NotExpressed, Place, name_of_copied
from plans import services as plans
from plans.fields import WAVE, WaveSpec
from plans.models import RecoveryPlan
from protection import services as groups
from protection.inventory import source_servers
from protection.inventory.drs_refusals import drs_trouble
from protection.inventory.entered_accounts import check_account
from protection.models import ProtectionGroup, ServerAssignment, SourceServer

IS_COPY = "NATIVE_PLAN_IS_COPY"
NAME_MAX, DESCRIPTION_MAX = 128, 512
WAIT_MOST = next(each.most for each in WAVE if each.column == "wait_minutes_before")


@dataclass(frozen=True)
class NewGroup:
    """The servers of a step that no group has."""

    name: str
    server_ids: Sequence[str]


@dataclass(frozen=True)
class NewWave:
    """A step with servers. `used` are the groups that have some of them; `group` becomes that of the others."""

    name: str
    servers: Sequence[NativeServer]
    wait_minutes: int
    used: Mapping[uuid.UUID, str]
    group: NewGroup | None

    @property
    def group_names(self) -> list[str]:
        return [*self.used.values(), *([self.group.name] if self.group else [])]


@dataclass(frozen=True)
class Import:
    """What would be made, and the refusals that it would meet; the first is the one that is answered."""

    in_drs: PlanInDrs
    place: Place
    name: str
    description: str
    waves: Sequence[NewWave]
    not_expressed: Sequence[NotExpressed]
    refusals: Sequence[DomainError]
    hostnames: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> list[NewGroup]:
        return [each.group for each in self.waves if each.group]

    @property
    def digest(self) -> str:
        """Of all that is shown: what was shown is what is made, or nothing is."""
        told = [self.in_drs.arn, self.name, self.description, self.waves, self.not_expressed]
        return hashlib.sha256(repr(told).encode(errors="backslashreplace")).hexdigest()


@dataclass(frozen=True)
class Told:
    """What DRS said: the plan, its steps, and which of their servers it knows."""

    place: Place
    plan: PlanInDrs
    steps: Sequence[StepInDrs]
    known: frozenset[str]


def _require(actor: Actor, thing: Thing) -> None:
    """Raise Forbidden for whoever may not make both groups and plans there."""
    actor.at(thing).require(groups.ADD, groups.TO_ADD)
    actor.at(thing).require(plans.ADD, plans.TO_ADD)


def preview(actor: Actor, arn: str, name: str = "") -> Import:
    """What an import would make. Raises Forbidden; Invalid that names the field; the contract's DRS errors. Never
    inside a transaction."""
    return _weighed(_ask(actor, arn), name)


@attempt("plan.import", "plan", subject="arn")
def import_plan(*, actor: Actor, arn: str, name: str = "", seen: str = "") -> tuple[Import, RecoveryPlan]:
    """Make the groups and the plan. Raises what `preview` raises and lists, and VersionConflict where `seen`, the
    digest of a preview, is not that of what would be made now. Of two at once one wins, and the other is refused as if
    it had come later. Never inside a transaction."""
    told = _ask(actor, arn)
    _refuse(_weighed(told, name), seen)
    try:
        with transaction.atomic():
            found = _weighed(told, name)
            _refuse(found, seen)
            plan = _make(actor, found)
            record(
                actor,
                "plan.import",
                subject_kind="plan",
                subject_id=plan.pk,
                subject_name=plan.name,
                detail={"arn": arn, "groups": [each.name for each in found.groups], "waves": len(found.waves)}
                | {"notExpressed": [f"{each.where}: {each.why}" for each in found.not_expressed]},
            )
    except Conflict:  # somebody was faster: the plan's name says most
        _refuse(_weighed(told, name), "")
        raise
    return found, plan


def _refuse(found: Import, seen: str) -> None:
    if found.refusals:
        raise found.refusals[0]
    if seen and seen != found.digest:
        raise VersionConflict(
            "What would be made is not what you looked at: the plan in DRS, groups or servers have changed meanwhile."
            " Nothing was made. Look at it again."
        )


def _make(actor: Actor, found: Import) -> RecoveryPlan:
    account, region = found.place
    made = {
        each.name: groups.make_group(
            actor, name=each.name, region=region, account=account, source_server_ids=each.server_ids
        ).pk
        for each in found.groups
    }
    waves = [
        WaveSpec(
            name=each.name,
            group_ids=[*each.used, *([made[each.group.name]] if each.group else [])],
            server_ids=[server.id for server in each.servers],
            optional_server_ids=[server.id for server in each.servers if server.optional],
            wait_minutes_before=each.wait_minutes,
        )
        for each in found.waves
    ]
    return plans.create_plan(actor=actor, name=found.name, description=found.description, waves=waves)


# What DRS says


def _ask(actor: Actor, arn: str) -> Told:
    _require(actor, ANYTHING)
    place = place_of(arn)
    if place is None:
        raise Invalid({"arn": ["This is no ARN of a recovery plan of DRS."]})
    account, region = place
    _require(actor, Thing(accounts=frozenset([account])))
    try:
        source_servers.check_region(region)
        check_account(account)
    except Invalid as error:
        raise Invalid({"arn": [text for texts in error.fields.values() for text in texts]}, code=error.code) from error
    drs = NativePlans(region, account)
    try:
        plan, steps = drs.plan(arn), drs.steps(arn)
        ids = [server for step in steps for server, _ in step.servers]
        servers = Drs(region, account).source_servers(list(dict.fromkeys(ids))) if ids else []
    except DrsError as error:
        if error.trouble is Trouble.NOT_FOUND:
            raise Invalid({"arn": [f"DRS in {region} of account {account} has no such recovery plan."]}) from error
        raise drs_trouble(error) from error
    left_out = source_servers.store(region, account, servers, whole_region=False, way=way_of(account))
    return Told(place, plan, steps, frozenset(each.source_server_id for each in servers).difference(left_out))


# What would be made of it


def _weighed(told: Told, name: str) -> Import:
    """By our rows as they are now."""
    copied = name_of_copied(told.plan)
    wanted = name.strip() or (copied or told.plan.name)[:NAME_MAX].strip()
    ids = {server for step in told.steps for server, _ in step.servers}
    rows = ServerAssignment.objects.filter(source_server_id__in=ids).values_list(
        "source_server_id", "group_id", "group__name"
    )
    builder = _Builder(told.known, {server: (group, called) for server, group, called in rows}, wanted)
    waves = [wave for number, step in enumerate(told.steps, 1) for wave in builder.waves(number, step)]
    names = dict(SourceServer.objects.filter(pk__in=ids).values_list("pk", "name"))
    description = "" if copied else told.plan.description.strip()
    return Import(
        told.plan,
        told.place,
        wanted,
        description[:DESCRIPTION_MAX],
        waves,
        [*builder.left_out, *builder.waits_left(), *_cut(told.plan, wanted if not name else "", description)],
        list(_refusals(told, wanted, waves)),
        {each: names.get(each, each) for each in ids},
    )


class _Builder:
    """Makes waves of steps, one after the other."""

    def __init__(self, known: frozenset[str], homes: Mapping[str, tuple[uuid.UUID, str]], plan_name: str) -> None:
        self.known, self.homes, self.plan_name = known, homes, plan_name
        self.left_out: list[NotExpressed] = []
        self.placed: dict[str, int] = {}
        self.taken: set[str] = set()
        self.wait = 0

    def waves(self, number: int, step: StepInDrs) -> Iterator[NewWave]:
        where = f"step {number}, {step.name}"
        if not step.servers:
            self._waits(where, step.wait_minutes)
            return
        servers = [NativeServer(server, optional) for server, optional in step.servers if self._takes(server, where)]
        self.placed |= {each.id: number for each in servers}
        if not servers:
            why = "None of its servers can be taken over, so no wave is made of it."
            self.left_out.append(NotExpressed("EMPTY_STEP", where, why))
            return
        if len(step.name) > NAME_MAX:
            self.left_out.append(NotExpressed("NAME", where, f"Names here have {NAME_MAX} characters: it is cut."))
        name, free = step.name[:NAME_MAX].strip(), [each.id for each in servers if each.id not in self.homes]
        used = dict(self.homes[each.id] for each in servers if each.id in self.homes)
        group = NewGroup(self._free_name(f"{self.plan_name}: {name}"), free) if free else None
        yield NewWave(name, servers, min(self.wait, WAIT_MOST), used, group)
        self.wait = 0

    def _waits(self, where: str, minutes: int) -> None:
        """Added to the wait of the next wave."""
        if not minutes:
            self.left_out.append(NotExpressed("STEP", where, "It has neither servers nor a wait."))
        self.wait += minutes
        if self.wait > WAIT_MOST:
            why = f"A wave waits {WAIT_MOST:,} minutes at the most; the waits before it are longer together."
            self.left_out.append(NotExpressed("WAIT", where, why))

    def waits_left(self) -> Iterator[NotExpressed]:
        if self.wait:
            yield NotExpressed("WAIT", "the end", f"No wave follows the last wait, of {self.wait} minutes.")

    def _takes(self, server: str, where: str) -> bool:
        if server not in self.known:
            self.left_out.append(NotExpressed("UNKNOWN_SERVER", where, f"DRS does not know {server}: it is left out."))
        elif server in self.placed:
            why = f"{server} is in step {self.placed[server]} already: a plan here launches a server once."
            self.left_out.append(NotExpressed("SERVER_TWICE", where, why))
        else:
            return True
        return False

    def _free_name(self, wanted: str) -> str:
        """Numbered where a group has it."""
        found, number = wanted[:NAME_MAX].strip(), 1
        while name_key(found) in self.taken or ProtectionGroup.objects.filter(name_key=name_key(found)).exists():
            number += 1
            found = f"{wanted[: NAME_MAX - 6].strip()} {number}"
        self.taken.add(name_key(found))
        return found


def _cut(plan: PlanInDrs, name: str, description: str) -> Iterator[NotExpressed]:
    if name and len(plan.name) > NAME_MAX:
        yield NotExpressed("NAME", "the plan", f"Names here have {NAME_MAX} characters: it is cut.")
    if len(description) > DESCRIPTION_MAX:
        text = f"Descriptions here have {DESCRIPTION_MAX} characters: it is cut."
        yield NotExpressed("DESCRIPTION", "the plan", text)


def _refusals(told: Told, name: str, waves: Sequence[NewWave]) -> Iterator[DomainError]:
    tag = (told.plan.tags or {}).get(PLAN_TAG, "")
    key = as_id(tag)
    ours = RecoveryPlan.objects.filter(pk=key).first() if key else None
    if ours is not None:
        text = f"This is the copy in DRS of the plan “{ours.name}”, which is here already."
        yield Conflict(IS_COPY, text, details={"planId": str(ours.pk), "planName": ours.name, **_at("arn", text)})
    if not waves:
        yield Invalid({"arn": ["It has no step with servers that DRS knows, so there is nothing to make a plan of."]})
    try:
        plans.check_name(name)
    except DomainError as error:
        yield _naming(error)


def _naming(error: DomainError) -> DomainError:
    """The refusal of a plan's name, with the field in which another one is given."""
    if isinstance(error, Invalid):
        return Invalid({"name": [text for texts in error.fields.values() for text in texts]}, code=error.code)
    return Conflict(error.code, error.message, details={**error.details, **_at("name", error.message)})


def _at(name: str, text: str) -> dict[str, dict[str, list[str]]]:
    return {"fields": {name: [text]}}
