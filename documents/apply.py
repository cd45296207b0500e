"""Applies exactly the difference that somebody looked at, all of it or nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, connection, transaction

from accounts import services as accounts
from accounts.registry import as_if
from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import VersionConflict
from documents.difference import Action, Change, Difference, difference, refuse_empty
from documents.format.kinds import Kind
from documents.models import Applied
from documents.write_accounts import row_of
from documents.write_rows import Secret, refuse_active, write
from plans.models import RecoveryPlan
from protection.inventory.source_servers import check_servers_exist
from protection.models import ProtectionGroup

_RIGHTS = {Action.CREATE: "add", Action.UPDATE: "change", Action.DELETE: "delete"}
_MODELS = {
    Kind.GROUP: ("protection", "protectiongroup", "protection groups"),
    Kind.PLAN: ("plans", "recoveryplan", "recovery plans"),
    Kind.SUBSCRIPTION: ("notify", "subscription", "subscriptions"),
}


@dataclass(frozen=True)
class Done:
    """What was changed, and the signing keys of new webhooks, which are shown this once."""

    difference: Difference
    secrets: Sequence[Secret]


@attempt("configuration.apply", "configuration", subject="digest")
def apply(*, actor: Actor, document: object, digest: str, prune: bool = False, clock: Clock = db_clock) -> Done:
    """Make it so. Raises Invalid with the place of each fault; Forbidden; VersionConflict when what would be changed is
    no longer what the digest stands for; Conflict when a run uses what would be changed (PG_IN_ACTIVE_EXECUTION,
    PLAN_HAS_ACTIVE_EXECUTION); the DRS errors of the contract when new servers cannot be asked for."""
    refuse_empty(document)
    meant = difference(document, prune=prune)
    _require(actor, meant.changes)
    _refuse_other(meant, digest)
    accounts = _check_new_servers(meant.changes)
    try:
        with transaction.atomic():
            _take_time()
            _take_turn()
            _lock(meant.changes)
            now = difference(document, prune=prune)
            _refuse_other(now, digest)
            refuse_active(now.changes)
            secrets = write(actor, now.changes, accounts, clock)
            Applied.objects.filter(pk=1).update(digest=digest, actor=actor.name[:254], at=clock())
            record(actor, "configuration.apply", subject_kind="configuration", subject_id=digest, detail=_counts(now))
    except IntegrityError as error:  # somebody made, moved or used something since it was locked
        raise _changed_meanwhile() from error
    return Done(now, secrets)


def _require(actor: Actor, changes: Iterable[Change]) -> None:
    for right, to in _needed((each.action, each.item.kind) for each in changes):
        actor.require(right, to)


def _needed(asked: Iterable[tuple[Action, Kind]]) -> Iterator[tuple[str, str]]:
    """The rights that it takes, and to what each is."""
    for action, kind in dict.fromkeys(asked):
        if kind is Kind.ACCOUNT:
            yield accounts.RIGHT, accounts.TO
        else:
            app, model, called = _MODELS[kind]
            yield f"{app}.{_RIGHTS[action]}_{model}", f"{action.lower()} {called}"


def may_apply_any(actor: Actor) -> bool:
    """Whether there is a document that somebody may apply."""
    return any(actor.may(right) for right, _ in _needed((action, kind) for action in Action for kind in Kind))


def not_allowed(actor: Actor, changes: Iterable[Change]) -> list[str]:
    """What of these changes somebody may not do, in words."""
    return [to for right, to in _needed((each.action, each.item.kind) for each in changes) if not actor.may(right)]


def _refuse_other(found: Difference, digest: str) -> None:
    if found.digest != digest:
        raise _changed_meanwhile()


def _changed_meanwhile() -> VersionConflict:
    return VersionConflict(
        "What this document would change is not what you looked at: the configuration, the inventory or the document"
        " has changed meanwhile. Nothing was applied. Look at the difference again."
    )


def _check_new_servers(changes: Sequence[Change]) -> dict[str, str]:
    """Ask DRS, live, for servers that are new to their group, in accounts of the document as well; answers which
    account our own credentials are of, by the regions that were asked with them."""
    added: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in changes:
        if each.item.kind is Kind.GROUP and each.after:
            spec, had = each.after.spec, set(each.before.item.spec["sourceServerIds"]) if each.before else set()
            added[spec["accountId"], spec["region"]] += [pk for pk in spec["sourceServerIds"] if pk not in had]
    with as_if(row_of(each.after) for each in changes if each.after and each.item.kind is Kind.ACCOUNT):
        found = {place: check_servers_exist(place[1], ids, place[0]) for place, ids in added.items() if ids}
    return {region: account for (entered, region), account in found.items() if not entered}


def _take_time() -> None:
    """A thousand groups are weighed between two statements, on a slow processor for longer than a transaction may be
    silent elsewhere. A host that vanishes meanwhile is noticed by its connection."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")


def _take_turn() -> None:
    """Whoever comes second waits here until the first has finished, and then finds another difference."""
    Applied.objects.bulk_create([Applied(pk=1)], ignore_conflicts=True)
    Applied.objects.filter(pk=1).update(digest="")


def _lock(changes: Iterable[Change]) -> None:
    """Plans, then groups, each by key, as when a run starts: nothing of them changes or runs until this ends."""
    known = defaultdict(list)
    for each in changes:
        if each.before:
            known[each.item.kind].append(each.before.pk)
    plans = RecoveryPlan.objects.select_for_update().filter(pk__in=known[Kind.PLAN]).order_by("pk")
    list(plans.values_list("pk"))
    groups = ProtectionGroup.objects.select_for_update().filter(pk__in=known[Kind.GROUP]).order_by("pk")
    list(groups.values_list("pk"))


def _counts(found: Difference) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for each in found.changes:
        counts[f"{each.item.kind} {each.action}"] += 1
    return dict(counts)
