"""Keeps what DRS says about source servers in our database, so that pages never wait for AWS."""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Literal, cast

from django.db import transaction
from django.db.models import CharField
from django.utils.dateparse import parse_duration

from audit.safe_text import storable
from contract.chunks import chunks
from contract.clock import db_clock
from contract.errors import Invalid
from drs.account import account_id, other_account
from drs.client import Drs, available_regions
from drs.errors import DrsError, Trouble
from drs.shapes import SourceServer as DrsServer
from protection.drs_refusals import drs_trouble
from protection.inventory import recovery_instances
from protection.models import ProtectionGroup, RegionInventory, SourceServer

log = logging.getLogger(__name__)

SERVER_ID = re.compile(r"s-[0-9a-zA-Z]{17}")  # DRS answers a ValidationException for anything else

_DESCRIPTION = [
    "account_id",
    "region",
    "name",
    "hostname",
    "fqdn",
    "replication_state",
    "lag_duration",
    "lag_seconds",
    "last_launch_result",
    "recovery_instance_id",
    "tags",
    "cpu_cores",
    "ram_bytes",
    "disk_bytes",
    "os",
    "instance_type",
    "replication_error",
    "replication_direction",
    "staging_status",
    "staging_account",
    "staging_error",
    "not_kept",
    "agent_silent_since",
    "digest",
    "seen_at",
    "gone_at",
]


LARGEST = (2**31 - 1, 2**63 - 1, 2**63 - 1)  # what the columns of cores, memory and disks take
_LABELS = {"os": "operating system", "replication_state": "replication state", "lag_duration": "lag"}


@cache
def known_regions() -> tuple[str, ...]:
    """Every region in which DRS exists."""
    return tuple(available_regions())


def check_region(region: str) -> None:
    """Raise Invalid with INVALID_REGION unless DRS exists in `region`."""
    if region not in known_regions():
        raise Invalid(
            {"region": [f"{region[:64]!r} is not a region of AWS DRS. Use one such as us-east-1."]},
            code="INVALID_REGION",
        )


def check_servers_exist(region: str, ids: Sequence[str]) -> str:
    """Ask DRS, live, for exactly these servers and store the answer; returns the account id.

    Raises Invalid with INVALID_SERVER_IDS for ids that DRS does not know, and the contract's DRS errors
    when DRS cannot be asked.
    """
    well_formed = [each for each in ids if SERVER_ID.fullmatch(each)]
    account = ""
    try:
        account = account_id(region)
        found = Drs(region, account).source_servers(well_formed) if well_formed else []
    except DrsError as error:
        if error.trouble is not Trouble.NOT_INITIALIZED:
            raise drs_trouble(error) from error
        if is_other_account(region, account) is None:
            note_failure(error)
        raise _no_servers(region, ids, [f"DRS has never been set up in {region}: it has no servers there."]) from error
    known = {server.source_server_id for server in found}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise _no_servers(region, unknown, [f"{each} does not exist in DRS in {region}." for each in unknown])
    store(region, account, found, whole_region=False)
    return account


def _no_servers(region: str, ids: Sequence[str], texts: Sequence[str]) -> Invalid:
    details = {"invalidServerIds": list(ids), "region": region}
    return Invalid({"sourceServerIds": texts}, code="INVALID_SERVER_IDS", details=details)


WRITE_ALL_SECONDS = 3600.0
_written_until: dict[str, float] = {}  # by region, on this process's monotonic clock

AGENT_SILENT = timedelta(hours=1)
LONGEST_LAG = 2**31 - 1  # seconds that the database takes


def _row(server: DrsServer, *, account: str, region: str, now: datetime, digest: str) -> SourceServer:
    """As the database takes it: what it refuses is spelled out, what is too long is cut, and the row says of what."""
    lag, trouble = seconds_of_lag(server.lag_duration), server.trouble
    told = {
        "name": server.name,
        "hostname": server.hostname,
        "fqdn": server.fqdn,
        "replication_state": server.replication_state,
        "lag_duration": server.lag_duration or "",
        "last_launch_result": server.last_launch_result,
        "recovery_instance_id": server.recovery_instance_id,
        "os": server.hardware.os,
        "instance_type": server.hardware.instance_type,
        "replication_error": trouble.replication_error,
        "replication_direction": trouble.direction,
        "staging_status": trouble.staging_status,
        "staging_account": trouble.staging_account,
        "staging_error": trouble.staging_error,
    }
    texts = {name: storable(text)[: _longest(name)] for name, text in told.items()}
    numbers = (server.hardware.cpu_cores, server.hardware.ram_bytes, server.hardware.disk_bytes)
    cores, ram, disks = (each if 0 <= each <= most else 0 for each, most in zip(numbers, LARGEST, strict=True))
    tags = storable(server.tags)
    changed = [_LABELS.get(name, name) for name in told if texts[name] != told[name]]
    changed += [*(["tags"] if tags != server.tags else []), *(["hardware"] if numbers != (cores, ram, disks) else [])]
    return SourceServer(
        source_server_id=server.source_server_id,
        account_id=account,
        region=region,
        lag_seconds=lag,
        tags=tags,
        cpu_cores=cores,
        ram_bytes=ram,
        disk_bytes=disks,
        not_kept=", ".join(changed),
        agent_silent_since=silent_since(server, now),
        digest=digest,
        seen_at=now,
        gone_at=None,
        **texts,
    )


def _longest(column: str) -> int | None:
    return cast("CharField[str, str]", SourceServer._meta.get_field(column)).max_length


def seconds_of_lag(text: str | None) -> int | None:
    """None where DRS tells no lag, or one with months, which have no length: unknown is not up to date."""
    try:
        lag = parse_duration(text) if text else None
    except (OverflowError, ValueError):
        return None
    seconds = int(lag.total_seconds()) if lag is not None else None
    return seconds if seconds is None or 0 <= seconds <= LONGEST_LAG else None


@lru_cache(maxsize=8192)
def _is_id(text: str) -> bool:
    """What is none has no place in any table, nor would DRS take it back."""
    if SERVER_ID.fullmatch(text) is None:
        log.warning("DRS lists a source server whose id is none: %r", text[:64])
        return False
    return True


def store(region: str, account: str, servers: Iterable[DrsServer], *, whole_region: bool) -> None:
    """Record what DRS said. With `whole_region`, servers that it no longer named are marked as gone: those of this
    account, of which alone it can tell. Of a server of which DRS says what it said before, only when is written."""
    now = db_clock()
    others = SourceServer.objects.filter(region=region).exclude(account_id__in=[account, ""])
    foreign = set(others.values_list("pk", flat=True))
    told = (each for each in servers if each.source_server_id not in foreign and _is_id(each.source_server_id))
    named = {server.source_server_id: server for server in told}
    with transaction.atomic():
        mine = SourceServer.objects.filter(region=region, account_id__in=[account, ""], gone_at=None)
        if not whole_region:
            mine = mine.filter(pk__in=list(named))
        rows = mine.values_list("pk", "account_id", "digest")
        known = {pk: digest if owner == account else "" for pk, owner, digest in rows}
        believed = {} if whole_region and _is_time_to_write_all(region) else known
        digests = {pk: _digest(account, server, now) for pk, server in named.items()}
        SourceServer.objects.bulk_create(
            [
                _row(server, account=account, region=region, now=now, digest=digests[pk])
                for pk, server in named.items()
                if digests[pk] != believed.get(pk)
            ],
            update_conflicts=True,
            unique_fields=["source_server_id"],
            update_fields=_DESCRIPTION,
            batch_size=500,
        )
        for some in chunks(sorted(known.keys() - named.keys())):
            mine.filter(pk__in=some).update(gone_at=now)
        mine.update(seen_at=now)
        if whole_region:
            _note(region, now, account_id=account, as_of=now, initialized=True, error_code="", error_message="")


def silent_since(server: DrsServer, now: datetime) -> datetime | None:
    """When its agent was last seen, if that is long ago; how often DRS renews that time is not known."""
    seen = server.agent_seen_at
    return seen if seen is not None and now - seen > AGENT_SILENT else None


def _digest(account: str, server: DrsServer, now: datetime) -> str:
    """The same as long as DRS says the same; the order of tags says nothing, nor does when an agent that is not silent
    was seen."""
    told = {**vars(server), "tags": sorted(server.tags.items()), "agent_seen_at": silent_since(server, now)}
    return hashlib.blake2b(repr((account, told)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _is_time_to_write_all(region: str) -> bool:
    """At a process's first reading, and now and then: a release that knew no digests may have written beside it."""
    now = time.monotonic()
    if now < _written_until.get(region, 0.0):
        return False
    _written_until[region] = now + WRITE_ALL_SECONDS
    return True


def _note(region: str, now: datetime, **columns: object) -> None:
    RegionInventory.objects.update_or_create(region=region, defaults={"tried_at": now, **columns})


def note_failure(error: DrsError) -> None:
    """Remember that a region could not be read; what was known of its servers stays, with its age."""
    now = db_clock()
    if error.trouble is Trouble.NOT_INITIALIZED:
        _note(error.region, now, initialized=False, as_of=now, error_code="", error_message="")
    else:
        _note(error.region, now, error_code=error.code, error_message=error.message)


@dataclass(frozen=True)
class Reading:
    """What DRS said of one region, or why it said nothing."""

    region: str
    account: str = ""
    servers: Sequence[DrsServer] = ()
    error: DrsError | None = None


def fetch(region: str, *, reading: Literal["reader", "poller"] = "reader") -> Reading:
    """Ask DRS for every server of a region, all pages. Touches no database, so it may run in a thread."""
    account = ""
    try:
        account = account_id(region)
        return Reading(region, account, Drs(region, account, reading=reading).source_servers())
    except DrsError as error:
        return Reading(region, account, error=error)


def is_other_account(region: str, account: str) -> DrsError | None:
    """Why what this account says of a region is not to be believed: its groups are of another account."""
    owners = accounts_of(region)
    if not account or not owners or account in owners:
        return None
    return other_account(region, ours=account, meant=" and ".join(owners))


def keep(reading: Reading) -> DrsError | None:
    """Write a reading into the inventory; a failed one, or one of another account, only leaves its reason, which is
    answered. A region without groups is whoever's reads it: what an account before saw there is forgotten."""
    region, account = reading.region, reading.account
    error = is_other_account(region, account) or reading.error
    if error is not None:
        note_failure(error)
        return error
    if not ProtectionGroup.objects.filter(region=region).exists():
        SourceServer.objects.filter(region=region).exclude(account_id__in=[account, ""]).delete()
    store(region, account, reading.servers, whole_region=True)
    return None


def read_region(region: str) -> RegionInventory:
    """Read a region live into the inventory, its recovery instances too; that DRS tells none of those, alone, is noted.
    A region never set up is a state, not an error.

    Raises DrsError for anything else that went wrong, after noting it in the inventory.
    """
    reading = fetch(region)
    error = keep(reading)
    if error is not None and error.trouble is not Trouble.NOT_INITIALIZED:
        raise error
    recovery_instances.keep(recovery_instances.fetch(region, reading.account))
    return RegionInventory.objects.get(region=region)


def accounts_of(region: str) -> list[str]:
    """The accounts whose servers groups of this region have."""
    groups = ProtectionGroup.objects.filter(region=region).exclude(account_id="")
    return sorted(set(groups.order_by().values_list("account_id", flat=True).distinct()))


def regions_in_use() -> set[str]:
    """Regions of which somebody has a group, or has looked at the servers."""
    used = set(ProtectionGroup.objects.order_by().values_list("region", flat=True).distinct())
    return used | set(RegionInventory.objects.filter(initialized=True).values_list("region", flat=True))


def claim_due_regions(now: datetime, *, every: timedelta) -> list[str]:
    """Regions in use that were not tried for `every`; each is given to one caller only."""
    due = []
    for region in sorted(regions_in_use()):
        RegionInventory.objects.get_or_create(region=region, defaults={"tried_at": now - every})
        if RegionInventory.objects.filter(region=region, tried_at__lte=now - every).update(tried_at=now):
            due.append(region)
    return due
