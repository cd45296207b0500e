"""Every address of the product, from the URLconf itself, with rows behind those that name one."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drill_requests import services as drill_requests
from executions.states import ExecutionStatus
from findings import services as findings
from identity.programs import service_tokens
from identity.scoped.services import give
from protection.models import ProtectionGroup, SourceServer
from schedules import services as schedules
from schedules.services import Wanted
from tests.console import world
from tests.identity.scene import client_of_a_program


@dataclass(frozen=True)
class Route:
    """One pattern; `address` is None for patterns that catch everything."""

    name: str
    pattern: str
    view: Any


def routes() -> Iterator[Route]:
    """Every pattern of the URLconf."""
    yield from _below(get_resolver(), "", "")


def _below(resolver: URLResolver, prefix: str, namespace: str) -> Iterator[Route]:
    for each in resolver.url_patterns:
        pattern = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _below(each, pattern, f"{namespace}{each.namespace}:" if each.namespace else namespace)
        elif isinstance(each, URLPattern):
            yield Route(f"{namespace}{each.name or ''}", pattern, each.callback)


DAILY = Wanted("FREQ=DAILY", date(2026, 1, 1), time(3), "UTC")


def furnish() -> dict[str, Any]:
    """A house with something in every room; answers what the parameters of addresses stand for."""
    world.region()
    plan = world.plan("Payments", sizes=(1, 1))
    world.ended(ExecutionStatus.PARTIAL, "Ledger", fail="No capacity")
    run = world.paused("Billing")
    subscription = world.subscription()
    world.delivery(subscription)
    return {
        "group_id": ProtectionGroup.objects.earliest("name").pk,
        "plan_id": plan.pk,
        "execution_id": run.pk,
        "wave": 1,
        "server": run.waves.all()[1].servers.all()[0].source_server_id,
        "subscription_id": subscription.pk,
        "entry_id": AuditEntry.objects.latest("id").pk,
        "server_id": SourceServer.objects.earliest("pk").pk,
        "token_id": service_tokens.create(actor=SYSTEM, name="nightly", role="viewer", days=1).row.pk,
        "service_client_id": client_of_a_program().pk,
        "drill_request_id": drill_requests.ask(actor=SYSTEM, plan_id=plan.pk, reason="It is Tuesday.").pk,
        "finding_id": findings.file(actor=SYSTEM, wanted=findings.Wanted("Slow", "ann", "LOW"), plan_id=plan.pk).pk,
        "account_id": "999988887777",
        "version_number": 1,
        "chapter": "runbook",
        "image": "dashboard.png",
        "schedule_id": schedules.create(actor=SYSTEM, plan_id=plan.pk, wanted=DAILY).pk,
        "role_id": give(actor=SYSTEM, group="Payments", role="viewer", label="app=payments").pk,
    }


def pages(known: dict[str, Any]) -> Iterator[str]:
    """The address of every route that can be reversed, those of the admin with the rows of their models."""
    for route in routes():
        if not route.name or route.name.endswith(":"):
            continue
        if route.name.startswith("admin:") and route.pattern.count("<"):
            continue
        parameters = {name: known[name] for name in known if f":{name}>" in route.pattern}
        if route.pattern.count("<") == len(parameters):
            yield reverse(route.name, kwargs=parameters)
    for model in admin.site._registry:
        label = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.first()
        if row is not None:
            yield from (reverse(f"{label}_{page}", args=[row.pk]) for page in ("change", "delete", "history"))


def misnamed(pieces: Iterable[str]) -> Iterator[str]:
    """The address of every route that names something, with each of these in the place of each name."""
    for route in routes():
        if "<" in route.pattern and "(?P<" not in route.pattern:
            for piece in pieces:
                yield "/" + piece.join(re.split(r"<[^>]*>", route.pattern))


def unreached(known: dict[str, Any]) -> list[str]:
    """Patterns with a parameter that `furnish` knows nothing of."""
    return [
        route.pattern
        for route in routes()
        if not route.name.startswith("admin:")
        and route.pattern.count("<") != sum(f":{name}>" in route.pattern for name in known)
    ]
