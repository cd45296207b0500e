"""What can be done with recovery plans, one function a verb."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, Unpack

from django.db import IntegrityError, transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import MOST_FAULTS, Conflict, Invalid
from contract.labels.rows import labels_of, replace_labels
from contract.labels.rules import Label, faults, trimmed
from contract.names import as_stored, name_key
from contract.rest.etag import refuse_stale
from contract.rights import ANYTHING, EVERYWHERE, Reach, Thing
from plans.fields import PLAN, WAVE, PlanSpec, WaveSpec
from plans.models import RecoveryPlan, Wave, WaveGroup, WaveServer
from plans.scopes.plans import at_plan, no_plan, thing_of
from protection.models import ProtectionGroup, ServerAssignment
from protection.scopes.groups import require_groups

Problems = dict[str, list[str]]

ADD, TO_ADD = "plans.add_recoveryplan", "create recovery plans"
CHANGE, TO_CHANGE = "plans.change_recoveryplan", "change recovery plans"
DELETE, TO_DELETE = "plans.delete_recoveryplan", "delete recovery plans"


def _check_waves(waves: Sequence[WaveSpec], stored: Collection[str] = (), *, sees: Reach = EVERYWHERE) -> Problems:
    fields: Problems = {} if waves else {"waves": ["At least one wave is required."]}
    for number, wave in enumerate(waves):
        fields |= _check_wave(number, wave, stored)
    for path, texts in _check_servers(waves, sees).items():
        fields.setdefault(path, []).extend(texts)
    return fields


def _check_wave(number: int, wave: WaveSpec, stored: Collection[str]) -> Problems:
    """What is wrong with one wave, without asking the database."""
    fields = WAVE.wrong(WAVE.cleaned(vars(wave)), first=number == 0, stored=stored)
    if not wave.group_ids:
        fields["protectionGroupIds"] = ["At least one protection group is required."]
    if not wave.server_ids:
        fields["serverIds"] = ["At least one server is required."]
    servers = set(wave.server_ids)
    strangers = [each for each in wave.optional_server_ids if each not in servers]
    if strangers:
        fields["optionalServerIds"] = [
            f"{each} is not a server of this wave (serverIds)." for each in strangers[: MOST_FAULTS + 1]
        ]
    wrong = [each for each in wave.depends_on if not 0 <= each < number][: MOST_FAULTS + 1]
    if wrong:
        fields["dependsOnWaves"] = [
            f"Wave {each + 1} does not come before wave {number + 1}." for each in wrong[: MOST_FAULTS + 1]
        ]
    return {f"waves[{number}].{path}": texts for path, texts in fields.items()}


def _check_servers(waves: Sequence[WaveSpec], sees: Reach = EVERYWHERE) -> Problems:
    """Groups that are unknown, or not seen, servers outside their wave's groups, and servers in two waves."""
    groups = {group_id for wave in waves for group_id in wave.group_ids}
    known = set(ProtectionGroup.objects.seen_by(sees).filter(pk__in=groups).values_list("pk", flat=True))
    home = dict(ServerAssignment.objects.filter(group__in=known).values_list("source_server_id", "group_id"))
    fields: Problems = {}
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


def _add(fields: Problems, number: int, path: str, text: str) -> None:
    texts = fields.setdefault(f"waves[{number}].{path}", [])
    if len(texts) <= MOST_FAULTS:  # the one too many says that there are more
        texts.append(text)


def _wrong_labels(labels: Sequence[Label]) -> Problems:
    found = faults(labels)
    return {"labels": found} if found else {}


def _refuse_fields(fields: Problems) -> None:
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


def check_name(name: str) -> None:
    """Raise Invalid, or Conflict (RP_NAME_EXISTS), unless a new plan can have this name."""
    _refuse_fields(PLAN.wrong(PLAN.cleaned({"name": name})))
    _refuse_taken_name(name)


@attempt("plan.create", "plan", subject="name")
def create_plan(
    *,
    actor: Actor,
    waves: Sequence[WaveSpec],
    **given: Unpack[PlanSpec],
) -> RecoveryPlan:
    """Make a plan. Raises Forbidden, Invalid with the path of each wrong field, Conflict (RP_NAME_EXISTS)."""
    actor.at(ANYTHING).require(ADD, TO_ADD)
    values = {"name": "", **PLAN.cleaned(given)}
    labels = trimmed(given.get("labels", ()))
    plan = RecoveryPlan(name_key=name_key(values["name"]), owner=actor.name, **values)
    try:
        with transaction.atomic():
            _lock_groups(waves)
            _refuse_fields(PLAN.wrong(values) | _wrong_labels(labels) | _check_waves(waves, sees=actor.sees))
            _refuse_taken_name(plan.name)
            plan.save(force_insert=True)
            replace_labels(plan, labels)
            save_waves(plan, waves)
            _require_within(actor, (ADD, TO_ADD), Thing(), plan, waves)
            _journal(actor, "plan.create", plan, after=as_kept(plan))
    except IntegrityError:  # somebody was faster
        _refuse_taken_name(plan.name)
        raise
    return plan


def _require_within(
    actor: Actor, right: tuple[str, str], before: Thing | None, plan: RecoveryPlan, waves: Sequence[WaveSpec] | None
) -> None:
    """Raise Forbidden unless the plan is, as it is now, where the actor has the right, with the groups of `waves`:
    nobody moves a plan out of their scope, takes servers into it, or labels it for others to whom it is not theirs to
    give."""
    if actor.is_bounded:
        after = thing_of(plan)
        actor.at(after).require(*right)
        actor.require_labels(*right, before or Thing(), after)
        require_groups(actor, *right, (key for wave in waves or () for key in wave.group_ids))


def _lock_groups(waves: Sequence[WaveSpec]) -> None:
    """Keep groups and their servers as they are; after the plan and by key, as when a run starts."""
    ids = {group_id for wave in waves for group_id in wave.group_ids}
    list(ProtectionGroup.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def save_waves(plan: RecoveryPlan, specs: Sequence[WaveSpec]) -> None:
    """Give these waves, which were checked, to a plan that has none."""
    waves = Wave.objects.bulk_create(
        Wave(plan=plan, number=number, **WAVE.cleaned(vars(spec))) for number, spec in enumerate(specs)
    )
    pairs = list(zip(waves, specs, strict=True))
    WaveGroup.objects.bulk_create(
        WaveGroup(wave=wave, group_id=group_id, position=position)
        for wave, spec in pairs
        for position, group_id in enumerate(dict.fromkeys(spec.group_ids))
    )
    WaveServer.objects.bulk_create(
        WaveServer(plan=plan, wave=wave, assignment_id=server_id, position=position, optional=server_id in optional)
        for wave, spec in pairs
        for optional in (set(spec.optional_server_ids),)
        for position, server_id in enumerate(spec.server_ids)
    )
    for wave, spec in pairs:
        wave.depends_on.set(waves[number] for number in spec.depends_on)


def as_kept(plan: RecoveryPlan, waves: Iterable[Wave] | None = None) -> dict[str, Any]:
    """The plan as the journal and its runs keep it."""
    if waves is None:
        waves = plan.waves.prefetch_related("group_links", "servers", "depends_on").order_by("number")
    return {
        **PLAN.named(plan),
        "labels": labels_of(plan),
        "version": plan.version,
        "waves": [
            {
                **WAVE.named(wave),
                "protectionGroupIds": [str(link.group_id) for link in wave.group_links.all()],
                "serverIds": [server.source_server_id for server in wave.servers.all()],
                "optionalServerIds": [each.source_server_id for each in wave.servers.all() if each.optional],
                "dependsOnWaves": sorted(each.number for each in wave.depends_on.all()),
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


@attempt("plan.update", "plan", subject="plan_id")
def update_plan(
    *,
    actor: Actor,
    plan_id: uuid.UUID,
    waves: Sequence[WaveSpec] | None = None,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
    **given: Unpack[PlanSpec],
) -> RecoveryPlan:
    """Replace what is given and leave the rest; `expected` are the versions that the change may be applied to.

    Raises Forbidden, NotFound, Invalid with the path of each wrong field, VersionConflict, Conflict
    (PLAN_HAS_ACTIVE_EXECUTION, RP_NAME_EXISTS).
    """
    actor.at(ANYTHING).require(CHANGE, TO_CHANGE)
    actor, plan = at_plan(actor, plan_id), get(plan_id)
    actor.require(CHANGE, TO_CHANGE)
    values = PLAN.cleaned(given)
    name = values["name"] = as_stored(values.get("name", plan.name), [plan.name])
    labels = trimmed(given["labels"]) if "labels" in given else None
    try:
        with transaction.atomic():
            plan = get(plan_id, for_update=True)
            actor = at_plan(actor, plan_id)
            actor.require(CHANGE, TO_CHANGE)
            if name == plan.name:  # whatever it is, and whoever has one like it by now
                values.pop("name", None)
            stored: Collection[str] = ()
            if waves is not None:
                _lock_groups(waves)
                stored = set(plan.waves.values_list("name", flat=True))
                waves = [replace(each, name=as_stored(each.name, stored)) for each in waves]
            problems = PLAN.wrong(values) | _wrong_labels(labels or ())
            _refuse_fields(problems | ({} if waves is None else _check_waves(waves, stored, sees=actor.sees)))
            refuse_stale(plan.version, expected, f"The plan “{plan.name}”")
            _refuse_active(plan, "changed")
            before = as_kept(plan)
            if "name" in values:
                _refuse_taken_name(name, but=plan)
                values["name_key"] = name_key(name)
            values |= {"version": plan.version + 1, "updated_at": clock()}
            for column, value in values.items():
                setattr(plan, column, value)
            plan.save(update_fields=list(values))
            if labels is not None:
                replace_labels(plan, labels)
            if waves is not None:
                plan.waves.all().delete()
                save_waves(plan, waves)
            _require_within(actor, (CHANGE, TO_CHANGE), actor.about, plan, waves)
            _journal(actor, "plan.update", plan, before=before, after=as_kept(plan))
    except IntegrityError:  # somebody was faster
        _refuse_taken_name(name, but=plan)
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
    actor.at(ANYTHING).require(DELETE, TO_DELETE)
    with transaction.atomic():
        plan = get(plan_id, for_update=True)
        at_plan(actor, plan_id).require(DELETE, TO_DELETE)
        refuse_stale(plan.version, expected, f"The plan “{plan.name}”")
        _refuse_active(plan, "deleted")
        _journal(actor, "plan.delete", plan, before=as_kept(plan))
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
