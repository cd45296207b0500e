"""What can be done with recovery plans, one function a verb."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from django.db import IntegrityError, transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import Conflict, Invalid, NotFound
from contract.names import name_key
from contract.rest.etag import refuse_stale
from plans.models import OnFailure, RecoveryPlan, Wave, WaveGroup, WaveServer
from protection.models import ProtectionGroup, ServerAssignment

NAME_MAX = 128
DESCRIPTION_MAX = 512
TARGET_MAX = 525_600  # a year of minutes

Fields = dict[str, list[str]]


@dataclass(frozen=True)
class WaveSpec:
    """A wave as asked for. Its number is its place in the list; `depends_on` holds 0-based numbers of earlier waves."""

    name: str
    group_ids: Sequence[uuid.UUID]
    server_ids: Sequence[str]
    description: str = ""
    depends_on: Sequence[int] = field(default_factory=tuple)
    pause_before: bool = False
    on_failure: str = OnFailure.STOP


class Targets(TypedDict, total=False):
    """What a recovery by this plan should keep to, in minutes; None is no target."""

    rto_minutes: int | None
    rpo_minutes: int | None


NO_TARGETS = Targets()
CHANGED = ["name", "name_key", "description", "rto_minutes", "rpo_minutes", "version", "updated_at"]


def _check_targets(targets: Targets) -> Fields:
    given = {"rtoMinutes": targets.get("rto_minutes"), "rpoMinutes": targets.get("rpo_minutes")}
    return {
        name: [f"Whole minutes from 1 to {TARGET_MAX:,}, or nothing for no target."]
        for name, minutes in given.items()
        if minutes is not None and not 1 <= minutes <= TARGET_MAX
    }


def _check_texts(name: str, description: str) -> Fields:
    fields: Fields = {}
    if not name:
        fields["planName"] = ["A name is required."]
    elif len(name) > NAME_MAX:
        fields["planName"] = [f"At most {NAME_MAX} characters; this has {len(name)}."]
    if len(description) > DESCRIPTION_MAX:
        fields["description"] = [f"At most {DESCRIPTION_MAX} characters; this has {len(description)}."]
    return fields


def _check_waves(waves: Sequence[WaveSpec]) -> Fields:
    fields: Fields = {} if waves else {"waves": ["At least one wave is required."]}
    for number, wave in enumerate(waves):
        fields |= _check_wave(number, wave)
    for path, texts in _check_servers(waves).items():
        fields.setdefault(path, []).extend(texts)
    return fields


def _check_wave(number: int, wave: WaveSpec) -> Fields:
    """What is wrong with one wave, without asking the database."""
    fields: Fields = {}
    if not wave.name.strip() or len(wave.name.strip()) > NAME_MAX:
        fields["waveName"] = [f"A name of 1 to {NAME_MAX} characters is required."]
    if len(wave.description) > DESCRIPTION_MAX:
        fields["waveDescription"] = [f"At most {DESCRIPTION_MAX} characters."]
    if not wave.group_ids:
        fields["protectionGroupIds"] = ["At least one protection group is required."]
    if not wave.server_ids:
        fields["serverIds"] = ["At least one server is required."]
    if wave.pause_before and number == 0:
        fields["pauseBeforeWave"] = ["The first wave cannot have a pause before it."]
    if wave.on_failure not in OnFailure.values:
        fields["onFailure"] = [f"Use {' or '.join(OnFailure.values)}."]
    wrong = [each for each in wave.depends_on if not 0 <= each < number]
    if wrong:
        fields["dependsOnWaves"] = [f"Wave {each + 1} does not come before wave {number + 1}." for each in wrong]
    return {f"waves[{number}].{path}": texts for path, texts in fields.items()}


def _check_servers(waves: Sequence[WaveSpec]) -> Fields:
    """Unknown groups, servers outside their wave's groups, and servers in two waves."""
    groups = {group_id for wave in waves for group_id in wave.group_ids}
    known = set(ProtectionGroup.objects.filter(pk__in=groups).values_list("pk", flat=True))
    home = dict(ServerAssignment.objects.filter(group__in=known).values_list("source_server_id", "group_id"))
    fields: Fields = {}
    seen: dict[str, int] = {}
    for number, wave in enumerate(waves):
        for group_id in wave.group_ids:
            if group_id not in known:
                _add(fields, number, "protectionGroupIds", f"There is no protection group {group_id}.")
        of_wave = set(wave.group_ids)
        if not of_wave or not known.issuperset(of_wave):
            continue  # that is said; of the servers nothing can be said
        for server_id in wave.server_ids:
            if home.get(server_id) not in of_wave:
                _add(fields, number, "serverIds", f"{server_id} is not in a protection group of this wave.")
            elif server_id in seen:
                _add(fields, number, "serverIds", f"{server_id} is already in wave {seen[server_id] + 1}.")
            seen.setdefault(server_id, number)
    return fields


def _add(fields: Fields, number: int, path: str, text: str) -> None:
    fields.setdefault(f"waves[{number}].{path}", []).append(text)


def _refuse_fields(fields: Fields) -> None:
    if fields:
        raise Invalid(fields)


def _refuse_taken_name(name: str, *, but: RecoveryPlan | None = None) -> None:
    others = RecoveryPlan.objects.filter(name_key=name_key(name))
    if but is not None:
        others = others.exclude(pk=but.pk)
    taken = others.first()
    if taken is not None:
        raise Conflict(
            "RP_NAME_EXISTS",
            f"A recovery plan named “{taken.name}” exists already. Choose another name.",
            details={"planId": str(taken.pk), "planName": taken.name},
        )


@attempt("plan.create", "plan", subject="name")
def create_plan(
    *,
    actor: Actor,
    name: str,
    waves: Sequence[WaveSpec],
    description: str = "",
    targets: Targets = NO_TARGETS,
) -> RecoveryPlan:
    """Make a plan. Raises Forbidden, Invalid with the path of each wrong field, Conflict (RP_NAME_EXISTS)."""
    actor.require("plans.add_recoveryplan", "create recovery plans")
    name, description = name.strip(), description.strip()
    plan = RecoveryPlan(name=name, name_key=name_key(name), description=description, owner=actor.name, **targets)
    try:
        with transaction.atomic():
            _lock_groups(waves)
            _refuse_fields(_check_texts(name, description) | _check_targets(targets) | _check_waves(waves))
            _refuse_taken_name(name)
            plan.save(force_insert=True)
            _save_waves(plan, waves)
            _journal(actor, "plan.create", plan, after=_state(plan))
    except IntegrityError:  # somebody was faster
        _refuse_taken_name(name)
        raise
    return plan


def _lock_groups(waves: Sequence[WaveSpec]) -> None:
    """Keep groups and their servers as they are; after the plan and by key, as when a run starts."""
    ids = {group_id for wave in waves for group_id in wave.group_ids}
    list(ProtectionGroup.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def _save_waves(plan: RecoveryPlan, specs: Sequence[WaveSpec]) -> None:
    waves = Wave.objects.bulk_create(
        Wave(
            plan=plan,
            number=number,
            name=spec.name.strip(),
            description=spec.description.strip(),
            pause_before=spec.pause_before,
            on_failure=spec.on_failure,
        )
        for number, spec in enumerate(specs)
    )
    pairs = list(zip(waves, specs, strict=True))
    WaveGroup.objects.bulk_create(
        WaveGroup(wave=wave, group_id=group_id, position=position)
        for wave, spec in pairs
        for position, group_id in enumerate(dict.fromkeys(spec.group_ids))
    )
    WaveServer.objects.bulk_create(
        WaveServer(plan=plan, wave=wave, assignment_id=server_id, position=position)
        for wave, spec in pairs
        for position, server_id in enumerate(spec.server_ids)
    )
    for wave, spec in pairs:
        wave.depends_on.set(waves[number] for number in spec.depends_on)


def _state(plan: RecoveryPlan) -> dict[str, object]:
    """The plan as the journal keeps it."""
    waves = plan.waves.prefetch_related("group_links", "servers", "depends_on").order_by("number")
    return {
        "planName": plan.name,
        "description": plan.description,
        "rtoMinutes": plan.rto_minutes,
        "rpoMinutes": plan.rpo_minutes,
        "version": plan.version,
        "waves": [
            {
                "waveName": wave.name,
                "waveDescription": wave.description,
                "protectionGroupIds": [str(link.group_id) for link in wave.group_links.all()],
                "serverIds": [server.source_server_id for server in wave.servers.all()],
                "dependsOnWaves": sorted(each.number for each in wave.depends_on.all()),
                "pauseBeforeWave": wave.pause_before,
                "onFailure": wave.on_failure,
            }
            for wave in waves
        ],
    }


# Change and delete


def get(plan_id: uuid.UUID, *, for_update: bool = False) -> RecoveryPlan:
    """The plan, or NotFound. With `for_update` it is locked, and no run of it can start until the transaction ends."""
    plans = RecoveryPlan.objects.select_for_update() if for_update else RecoveryPlan.objects.all()
    plan = plans.filter(pk=plan_id).first()
    if plan is None:
        raise no_plan(plan_id)
    return plan


def no_plan(plan_id: uuid.UUID) -> NotFound:
    """The refusal for an id of no plan."""
    return NotFound(f"There is no recovery plan {plan_id}.", details={"planId": str(plan_id)})


@attempt("plan.update", "plan", subject="plan_id")
def update_plan(
    *,
    actor: Actor,
    plan_id: uuid.UUID,
    name: str | None = None,
    description: str | None = None,
    waves: Sequence[WaveSpec] | None = None,
    targets: Targets = NO_TARGETS,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> RecoveryPlan:
    """Replace what is given and leave the rest; `expected` are the versions that the change may be applied to.

    Raises Forbidden, NotFound, Invalid with the path of each wrong field, VersionConflict, Conflict
    (PLAN_HAS_ACTIVE_EXECUTION, RP_NAME_EXISTS).
    """
    actor.require("plans.change_recoveryplan", "change recovery plans")
    plan = get(plan_id)
    name = None if name is None else name.strip()
    description = None if description is None else description.strip()
    try:
        with transaction.atomic():
            plan = get(plan_id, for_update=True)
            if waves is not None:
                _lock_groups(waves)
            texts = _check_texts(plan.name if name is None else name, description or "")
            texts |= _check_targets(targets)
            _refuse_fields(texts | ({} if waves is None else _check_waves(waves)))
            refuse_stale(plan.version, expected, f"The plan “{plan.name}”")
            _refuse_active(plan, "changed")
            before = _state(plan)
            if name is not None:
                _refuse_taken_name(name, but=plan)
                plan.name, plan.name_key = name, name_key(name)
            if description is not None:
                plan.description = description
            for column, minutes in targets.items():
                setattr(plan, column, minutes)
            plan.version, plan.updated_at = plan.version + 1, clock()
            plan.save(update_fields=CHANGED)
            if waves is not None:
                plan.waves.all().delete()
                _save_waves(plan, waves)
            _journal(actor, "plan.update", plan, before=before, after=_state(plan))
    except IntegrityError:  # somebody was faster
        _refuse_taken_name(name or plan.name, but=plan)
        raise
    return plan


def _refuse_active(plan: RecoveryPlan, verb: str) -> None:
    if found := active_use(plan, verb):
        raise found


def active_use(plan: RecoveryPlan, verb: str) -> Conflict | None:
    """The refusal to have a plan `verb` ("deleted") while it is being run (PLAN_HAS_ACTIVE_EXECUTION), or None.

    Runs are asked for by name: they live above this room.
    """
    running = plan.executions.filter(ended_at=None).first()
    if running is None:
        return None
    return Conflict(
        "PLAN_HAS_ACTIVE_EXECUTION",
        f"“{plan.name}” is being run ({running.status.lower()}). It can be {verb} when the run is over.",
        details={"executionId": str(running.pk), "status": running.status},
    )


@attempt("plan.delete", "plan", subject="plan_id")
def delete_plan(*, actor: Actor, plan_id: uuid.UUID, expected: Collection[int] | None = None) -> RecoveryPlan:
    """Delete a plan that is not being run; its history keeps its name.

    Raises Forbidden, NotFound, VersionConflict, Conflict (PLAN_HAS_ACTIVE_EXECUTION).
    """
    actor.require("plans.delete_recoveryplan", "delete recovery plans")
    with transaction.atomic():
        plan = get(plan_id, for_update=True)
        refuse_stale(plan.version, expected, f"The plan “{plan.name}”")
        _refuse_active(plan, "deleted")
        _journal(actor, "plan.delete", plan, before=_state(plan))
        RecoveryPlan.objects.filter(pk=plan.pk).delete()
    return plan


def _journal(
    actor: Actor,
    verb: str,
    plan: RecoveryPlan,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record(actor, verb, subject_kind="plan", subject_id=plan.pk, subject_name=plan.name, before=before, after=after)
