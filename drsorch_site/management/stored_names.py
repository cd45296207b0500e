"""Names from before names were looked at. `manage.py check` and `migrate` list them; they stay as they are."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Info, Tags, register
from django.core.checks import Warning as Warned
from django.db import DatabaseError, connections

from contract.names import hidden_fault, name_key, visible
from notify.models import Subscription
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup

MOST = 100  # of each kind


@register(Tags.database)
def stored_names(databases: Sequence[str] | None = None, **options: Any) -> list[CheckMessage]:
    """Names that could not be given today. A database that cannot be asked, or is not made yet, has none."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        try:
            if _is_made(alias):
                found += _of(alias)
        except DatabaseError as error:
            connections[alias].close()
            found.append(Info(f"Stored names were not looked at: {' '.join(str(error).split())}", id="drsorch.I001"))
    return found


def _is_made(alias: str) -> bool:
    needed = {model._meta.db_table for model in (RecoveryPlan, ProtectionGroup, Wave, Subscription)}
    return needed.issubset(connections[alias].introspection.table_names())


def _of(alias: str) -> Iterator[CheckMessage]:
    keyed = ((RecoveryPlan, "Recovery plan"), (ProtectionGroup, "Protection group"))
    for model, kind in keyed:
        rows: list[Any] = list(model.objects.using(alias).order_by("name_key").values_list("pk", "name", "name_key"))
        yield from _hidden(kind, ((pk, name) for pk, name, _ in rows))
        yield from _alike(kind, [(name, key) for _, name, key in rows])
    waves = Wave.objects.using(alias).order_by("plan__name_key", "number").values_list("plan_id", "name")
    yield from _hidden("Wave of plan", waves.iterator())
    yield from _hidden("Subscription", Subscription.objects.using(alias).order_by("pk").values_list("pk", "name"))


def _hidden(kind: str, rows: Iterable[tuple[Any, str]]) -> Iterator[CheckMessage]:
    found = [(pk, name, fault) for pk, name in rows if (fault := hidden_fault(name))]
    for pk, name, fault in found[:MOST]:
        yield Warned(f"{kind} {pk}, “{visible(name)}”: {fault}", hint="Rename it.", id="drsorch.W001")
    if len(found) > MOST:
        yield Warned(f"{kind}: {len(found) - MOST} more such names.", id="drsorch.W001")


def _alike(kind: str, rows: Sequence[tuple[str, str]]) -> Iterator[CheckMessage]:
    """Those whose key is not what it would be today, because another has that."""
    names = {key: name for name, key in rows}
    found = [(name, name_key(name)) for name, key in rows if key != name_key(name)]
    for name, key in found[:MOST]:
        other = f" as “{visible(names[key])}”" if key in names else ""
        text = f"{kind} “{visible(name)}” counts as the same name today{other}."
        yield Warned(text, hint="Rename one of them.", id="drsorch.W002")
