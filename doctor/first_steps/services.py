"""What the first steps make: groups and a plan of a suggestion, a plan of one server, and the scan of all regions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from accounts import registry
from accounts.registry import way_of
from audit.actor import Actor
from audit.journal import attempt
from contract.errors import Invalid
from doctor.first_steps.suggestions import Suggestion, grouped
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.inventory.source_servers import fetch, keep, known_regions
from protection.models import ProtectionGroup, SourceServer
from protection.services import create_group

AT_ONCE = 12


def require_planner(actor: Actor) -> None:
    """Raise Forbidden unless `actor` may make plans."""
    actor.require("plans.add_recoveryplan", "create recovery plans")


def accept(*, actor: Actor, suggestion: Suggestion, name: str, server_ids: Sequence[str]) -> RecoveryPlan:
    """Make the groups that are missing and the plan, of those servers of a suggestion that were kept.

    What was made stays when something later is refused: the suggestion then goes on from there. Raises as
    `create_group` and `create_plan` do.
    """
    require_planner(actor)
    kept = set(server_ids)
    waves: list[WaveSpec] = []
    for tier in suggestion.tiers:
        servers = [each for each in tier.servers if each.pk in kept]
        if servers:
            groups = _groups(actor, suggestion, f"{name} {tier.name}", servers)
            number = len(waves)
            waves.append(
                WaveSpec(
                    name=tier.name.capitalize(),
                    group_ids=groups,
                    server_ids=[each.pk for each in servers],
                    depends_on=[number - 1] if number else [],
                )
            )
    if not waves:
        raise Invalid({"servers": ["Keep at least one server."]})
    return create_plan(actor=actor, name=name, waves=waves)


def _groups(actor: Actor, suggestion: Suggestion, name: str, servers: Sequence[SourceServer]) -> list[UUID]:
    known = grouped(servers)
    missing = [each.pk for each in servers if each.pk not in known]
    groups = list(dict.fromkeys(each.group_id for each in known.values()))
    if missing:
        made = create_group(
            actor=actor,
            name=_free_name(name),
            region=suggestion.region,
            account_id=suggestion.account,
            source_server_ids=missing,
        )
        groups.append(made.pk)
    return groups


def plan_of_one(*, actor: Actor, server: SourceServer) -> RecoveryPlan:
    """A plan of this server alone, for the first drill; the one that was made before, if there is one."""
    require_planner(actor)
    name = f"First drill: {server.name}"[:128]
    known = RecoveryPlan.objects.filter(name=name).first()
    if known is not None:
        return known
    assignment = grouped([server]).get(server.pk)
    if assignment is None:
        account = way_of(server.account_id)
        group = create_group(
            actor=actor, name=_free_name(name), region=server.region, account_id=account, source_server_ids=[server.pk]
        ).pk
    else:
        group = assignment.group_id
    return create_plan(actor=actor, name=name, waves=[WaveSpec("First drill", [group], [server.pk])])


def _free_name(name: str) -> str:
    taken = set(ProtectionGroup.objects.filter(name__startswith=name[:120]).values_list("name", flat=True))
    names = (name[:128] if not at else f"{name[:120]} {at + 1}" for at in range(len(taken) + 1))
    return next(each for each in names if each not in taken)


@attempt("inventory.scan", "inventory")
def scan(*, actor: Actor) -> None:
    """Read every region in which DRS exists into the inventory, some at once; each failure is noted with its region."""
    actor.require("protection.add_protectiongroup", "scan all regions")
    registry.known()  # so that threads without a database know which accounts have roles
    with ThreadPoolExecutor(AT_ONCE, initializer=registry.without_database) as pool:
        readings = list(pool.map(fetch, known_regions()))
    for reading in readings:
        keep(reading)
