"""Rows that tests begin with are those that the product writes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model

from audit.actor import SYSTEM
from drs_simulator.testing import RunningSimulator
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer
from protection.services import create_group
from tests.support import inventory

pytestmark = pytest.mark.django_db

TIMES = {"seen_at", "tried_at", "as_of", "instances_as_of", "created_at", "updated_at", "lag_duration", "lag_seconds"}
TIMES |= {"agent_silent_since", "digest", "copy_ends_at"}  # which are of lags, too
REGION = "us-east-1"


def rows(model: type[Model], *without: str) -> list[dict[str, Any]]:
    """Times, and lags, which grow, only as to whether they are set."""
    return [
        {name: bool(value) if name in TIMES else value for name, value in row.items() if name not in without}
        for row in model._default_manager.order_by("pk").values()
    ]


def after(make: Callable[[], object], *, without: tuple[str, ...] = ()) -> list[list[dict[str, Any]]]:
    for model in (ProtectionGroup, SourceServer, RegionInventory):
        model.objects.all().delete()
    make()
    return [rows(model, *without) for model in (SourceServer, RegionInventory, ProtectionGroup, ServerAssignment)]


def test_an_inventory_is_what_drs_tells(simulator: RunningSimulator) -> None:
    read = after(lambda: read_region(REGION), without=("id",))
    inventory.read(simulator, "us-west-2")  # so that another region is known, too
    for _ in range(2):
        assert after(lambda: inventory.read(simulator, REGION), without=("id",)) == read
    assert RegionInventory.objects.get().account_id


def test_an_inventory_that_a_test_changed_is_read(simulator: RunningSimulator) -> None:
    inventory.read(simulator, REGION)
    simulator.delete_servers("web-01")
    SourceServer.objects.all().delete()
    inventory.read(simulator, REGION)
    assert not SourceServer.objects.filter(hostname="web-01").exists()


def test_a_group_is_as_the_service_makes_it(simulator: RunningSimulator) -> None:
    inventory.read(simulator, REGION)
    ids = list(SourceServer.objects.values_list("pk", flat=True)[:3])

    def by_service() -> object:
        read_region(REGION)
        return create_group(actor=SYSTEM, name="Web Tier", region=REGION, source_server_ids=ids)

    def by_rows() -> object:
        read_region(REGION)
        return inventory.assign("Web Tier", REGION, ids)

    loose = ("id", "group_id")
    assert after(by_rows, without=loose) == after(by_service, without=loose)
