"""Writes the rows of a difference, within one transaction and after everything was locked and checked.

In an order in which nothing that goes is still used, and nothing that is used is not yet there: waves of plans that
change go first, then plans and groups; groups come, servers move, plans and their waves come, subscriptions last.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from audit.actor import Actor
from audit.journal import record
from contract.chunks import chunks
from contract.clock import Clock
from contract.labels.rows import replace_labels
from contract.names import name_key
from documents.difference import Action, Change
from documents.format.kinds import Kind, Spec
from documents.write_accounts import delete_accounts, save_accounts
from notify import services as subscriptions
from plans import services as plans
from plans.fields import PLAN, WAVE, WaveSpec
from plans.models import RecoveryPlan, Wave
from protection.in_use.refusals import active_use
from protection.journal import as_kept
from protection.models import ProtectionGroup, ServerAssignment

AT_ONCE = 500
Changes = Sequence[Change]


class Secret(TypedDict):
    """The signing key of a new webhook."""

    name: str
    secret: str


def refuse_active(changes: Changes) -> None:
    """Raise Conflict for what a run uses."""
    for plan in RecoveryPlan.objects.filter(pk__in=_ids(changes, Kind.PLAN)):
        if refusal := plans.active_use(plan, "changed"):
            raise refusal
    for group in ProtectionGroup.objects.filter(pk__in=_ids(changes, Kind.GROUP)):
        if refusal := active_use(group):
            raise refusal


def write(actor: Actor, changes: Changes, accounts: Mapping[str, str], clock: Clock) -> list[Secret]:
    """All of it; answers the signing keys of new webhooks. `accounts` are those of the regions of new servers."""
    now = clock()
    save_accounts(actor, changes, clock)
    of_plans = [each for each in changes if each.item.kind is Kind.PLAN]
    of_groups = [each for each in changes if each.item.kind is Kind.GROUP]
    before = _kept_plans(_ids(of_plans, Kind.PLAN))
    for some in chunks(_ids(of_plans, Kind.PLAN), AT_ONCE):
        Wave.objects.filter(plan__in=some).delete()
    _delete_plans(actor, of_plans, before)
    _write_groups(actor, of_groups, accounts, now)
    _write_plans(actor, of_plans, before, now)
    delete_accounts(actor, changes)
    return _write_subscriptions(actor, [each for each in changes if each.item.kind is Kind.SUBSCRIPTION], clock)


def _ids(changes: Iterable[Change], kind: Kind) -> list[uuid.UUID]:
    return [each.before.pk for each in changes if each.before and each.item.kind is kind]


# Groups


def _write_groups(actor: Actor, changes: Changes, accounts: Mapping[str, str], now: datetime) -> None:
    known = ProtectionGroup.objects.in_bulk(_ids(changes, Kind.GROUP))
    gone = [each.before.pk for each in changes if each.before and each.action is Action.DELETE]
    ready = []
    for each in changes:
        if each.after:
            spec, region = each.after.spec, each.after.spec["region"]
            group = known[each.before.pk] if each.before else ProtectionGroup(owner=actor.name, version=0)
            group.account_id = group.account_id or spec["accountId"] or accounts[region]
            group.name, group.name_key, group.region = each.after.name, name_key(each.after.name), region
            group.description, group.version, group.updated_at = spec["description"], group.version + 1, now
            group.match = spec["match"]
            ready.append((each, group))
    ProtectionGroup.objects.bulk_create([group for each, group in ready if not each.before], batch_size=AT_ONCE)
    columns = ["name", "description", "match", "version", "updated_at"]
    ProtectionGroup.objects.bulk_update([group for each, group in ready if each.before], columns, batch_size=AT_ONCE)
    for each, group in ready:
        replace_labels(group, sorted(each.item.spec["labels"].items()))
    _assign({server: (group, place) for each, group in ready for place, server in enumerate(_servers(each))}, gone)
    for each in changes:
        if each.action is Action.DELETE and each.before:
            _journal_group(actor, each, known[each.before.pk])
    for some in chunks(gone, AT_ONCE):
        ProtectionGroup.objects.filter(pk__in=some).delete()
    for each, group in ready:
        _journal_group(actor, each, group)


def _servers(change: Change) -> list[str]:
    servers: list[str] = change.after.spec["sourceServerIds"] if change.after else []
    return servers


def _assign(places: Mapping[str, tuple[ProtectionGroup, int]], gone: Sequence[uuid.UUID]) -> None:
    """Give each server its place. Rows of servers that only move are kept: plans that stay point at them."""
    touched = {group.pk for group, _place in places.values()} | set(gone)
    rows = {row.source_server_id: row for some in chunks(list(touched), AT_ONCE) for row in _rows(some)}
    for some in chunks([each for each in places if each not in rows], AT_ONCE):
        rows |= {row.source_server_id: row for row in ServerAssignment.objects.filter(source_server_id__in=some)}
    leaving = [row.pk for server, row in rows.items() if server not in places]
    for rowids in chunks(leaving, AT_ONCE):
        ServerAssignment.objects.filter(pk__in=rowids).delete()
    moved = []
    for server, (group, place) in places.items():
        row = rows.get(server)
        if row and (row.group_id, row.position) != (group.pk, place):
            row.group, row.position = group, place
            moved.append(row)
    ServerAssignment.objects.bulk_update(moved, ["group", "position"], batch_size=AT_ONCE)
    new = sorted(each for each in places if each not in rows)
    ServerAssignment.objects.bulk_create(
        [ServerAssignment(source_server_id=each, group=places[each][0], position=places[each][1]) for each in new],
        batch_size=AT_ONCE,
    )


def _rows(group_ids: Sequence[uuid.UUID]) -> Iterable[ServerAssignment]:
    return ServerAssignment.objects.filter(group__in=group_ids)


def _journal_group(actor: Actor, change: Change, group: ProtectionGroup) -> None:
    verbs = {Action.CREATE: "group.create", Action.UPDATE: "group.update", Action.DELETE: "group.delete"}
    old, new = change.before, change.after
    record(
        actor,
        verbs[change.action],
        subject_kind="group",
        subject_id=group.pk,
        subject_name=group.name,
        before=as_kept(old.item.name, old.item.spec, old.version) if old else None,
        after=as_kept(new.name, new.spec, group.version) if new else None,
    )


# Plans


def _kept_plans(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, Any]]:
    """As the journal keeps them, in queries that do not grow with their number."""
    waves = defaultdict(list)
    for some in chunks(list(ids), AT_ONCE):
        found = Wave.objects.filter(plan__in=some).prefetch_related("group_links", "servers", "depends_on")
        for wave in found.order_by("plan", "number"):
            waves[wave.plan_id].append(wave)
    known = RecoveryPlan.objects.in_bulk(ids)
    return {pk: plans.as_kept(plan, waves[pk]) for pk, plan in known.items()}


def _delete_plans(actor: Actor, changes: Changes, before: Mapping[uuid.UUID, dict[str, Any]]) -> None:
    gone = [each.before for each in changes if each.before and each.action is Action.DELETE]
    for each in gone:
        record(
            actor,
            "plan.delete",
            subject_kind="plan",
            subject_id=each.pk,
            subject_name=each.item.name,
            before=before[each.pk],
        )
    for some in chunks([each.pk for each in gone], AT_ONCE):
        RecoveryPlan.objects.filter(pk__in=some).delete()


def _write_plans(actor: Actor, changes: Changes, before: Mapping[uuid.UUID, dict[str, Any]], now: datetime) -> None:
    known = RecoveryPlan.objects.in_bulk(_ids(changes, Kind.PLAN))
    homes = dict(ProtectionGroup.objects.values_list("name_key", "pk"))
    ready = []
    for each in changes:
        if each.after:
            plan = known[each.before.pk] if each.before else RecoveryPlan(owner=actor.name, version=0)
            for column, value in PLAN.given({"planName": each.after.name, **each.after.spec}).items():
                setattr(plan, column, value)
            plan.name_key, plan.version, plan.updated_at = name_key(plan.name), plan.version + 1, now
            ready.append((each, plan, each.after.spec["waves"]))
    RecoveryPlan.objects.bulk_create([plan for each, plan, _ in ready if not each.before], batch_size=AT_ONCE)
    columns = [*(each.column for each in PLAN), "version", "updated_at"]
    RecoveryPlan.objects.bulk_update([plan for each, plan, _ in ready if each.before], columns, batch_size=AT_ONCE)
    for each, plan, waves in ready:
        replace_labels(plan, sorted(each.item.spec["labels"].items()))
        plans.save_waves(plan, [_wave(each, homes) for each in waves])
    after = _kept_plans([plan.pk for _, plan, _ in ready])
    for each, plan, _ in ready:
        record(
            actor,
            "plan.update" if each.before else "plan.create",
            subject_kind="plan",
            subject_id=plan.pk,
            subject_name=plan.name,
            before=before.get(plan.pk),
            after=after[plan.pk],
        )


def _wave(spec: Spec, homes: Mapping[str, uuid.UUID]) -> WaveSpec:
    return WaveSpec(
        group_ids=[homes[name_key(name)] for name in spec["protectionGroups"]],
        server_ids=spec["serverIds"],
        optional_server_ids=spec["optionalServerIds"],
        depends_on=spec["dependsOnWaves"],
        **WAVE.given(spec),
    )


# Subscriptions


def _write_subscriptions(actor: Actor, changes: Changes, clock: Clock) -> list[Secret]:
    ids = dict(RecoveryPlan.objects.values_list("name_key", "pk"))
    secrets = []
    for each in sorted(changes, key=lambda change: change.action is not Action.DELETE):
        if each.after is None and each.before:
            subscriptions.delete(actor=actor, subscription_id=each.before.pk, clock=clock)
            continue
        spec, name = each.item.spec, each.item.name
        plan_id = None if spec["plan"] is None else ids[name_key(spec["plan"])]
        wanted = subscriptions.Wanted(
            name, spec["channel"], spec["target"], plan_id, spec["events"], enabled=spec["enabled"]
        )
        if each.before:
            saved = subscriptions.update(actor=actor, subscription_id=each.before.pk, wanted=wanted, clock=clock)
        else:
            saved = subscriptions.create(actor=actor, name=name, wanted=wanted, clock=clock)
        if saved.secret:
            secrets.append(Secret(name=name, secret=saved.secret))
    return secrets
