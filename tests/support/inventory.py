"""What DRS tells of the demo fleet, as rows: read once by each process, put into the database of each test after that.

Only where DRS still tells that; what a test changes at the simulator before it looks at a region is really read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import DateTimeField, Model

from contract.clock import db_clock
from contract.names import name_key
from drs_simulator.testing import NearSimulator, RunningSimulator
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Region:
    """As `read_region` left it."""

    servers: list[SourceServer]
    row: RegionInventory


_read: dict[str, Region] = {}


def is_untouched(simulator: RunningSimulator) -> bool:
    """Whether DRS tells what it tells at the beginning of every test."""
    return isinstance(simulator, NearSimulator) and not simulator.changed


def read(simulator: RunningSimulator, region: str) -> None:
    """The region's inventory is as if it had been read a moment ago."""
    if not is_untouched(simulator):
        read_region(region)
    elif region in _read:
        known = _read[region]
        later = db_clock() - _newest(known.row)
        SourceServer.objects.bulk_create([_copy(each, later) for each in known.servers])
        RegionInventory.objects.filter(region=region).delete()
        RegionInventory.objects.bulk_create([_copy(known.row, later)])
    else:
        read_region(region)
        servers = list(SourceServer.objects.filter(region=region).order_by("pk"))
        _read[region] = Region(servers, RegionInventory.objects.get(region=region))


def _newest(row: RegionInventory) -> datetime:
    """The last of its times: none of a copy may lie in the future, or what is read next is not the newest."""
    return max(each for each in (row.tried_at, row.as_of, row.instances_as_of) if each is not None)


def _copy(row: Row, later: timedelta) -> Row:
    """The same, with all of its times so much later."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    for field in row._meta.concrete_fields:
        if isinstance(field, DateTimeField) and values[field.attname] is not None:
            values[field.attname] += later
    values.pop("id", None)  # the database's own counting
    return type(row)(**values)


def assign(name: str, region: str, ids: list[str]) -> ProtectionGroup:
    """A group of servers of an inventory that was read, as `create_group` makes it after having asked DRS."""
    account = RegionInventory.objects.get(region=region).account_id
    group = ProtectionGroup.objects.create(
        name=name, name_key=name_key(name), region=region, account_id=account, owner="system"
    )
    ServerAssignment.objects.bulk_create(
        ServerAssignment(group=group, source_server_id=each, position=ids.index(each)) for each in sorted(ids)
    )
    return group
