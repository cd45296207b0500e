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

from django.conf import settings
from django.db import transaction
from django.db.models import CharField
from django.utils.dateparse import parse_duration

from accounts import registry
from accounts.home import beyond_us
from accounts.registry import entered, way_of
from audit.safe_text import storable
from contract.chunks import chunks, update_rows
from contract.clock import db_clock
from contract.errors import Invalid
from drs.account import account_id, other_account
from drs.client import Drs, available_regions
from drs.errors import DrsError, Trouble
from drs.shapes import SourceServer as DrsServer
from protection.inventory import recovery_instances
from protection.inventory.drs_refusals import drs_trouble
from protection.models import ProtectionGroup, RegionInventory, SourceServer

log = logging.getLogger(__name__)

Place = tuple[str, str]  # the account that is entered by its role, empty: our own credentials'; and a region

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
    "extended_of",
    "not_kept",
    "agent_silent_since",
    "copied_percent",
    "copy_ends_at",
    "digest",
    "seen_at",
    "gone_at",
]


LARGEST = (2**31 - 1, 2**63 - 1, 2**63 - 1)  # what the columns of cores, memory and disks take
_LABELS = {"os": "operating system", "replication_state": "replication state", "lag_duration": "lag"}


@cache
def _regions_of_drs() -> tuple[str, ...]:
    return tuple(available_regions())


def known_regions() -> list[str]:
    """Every region in which DRS exists and our credentials are taken."""
    return [each for each in _regions_of_drs() if not beyond_us(each)]


def region_fault(region: str) -> str:
    """Why nothing can be there: DRS is not, or our credentials are taken nowhere there. Empty where it can."""
    if region in _regions_of_drs():
        return beyond_us(region)
    return f"{region[:64]!r} is not a region of AWS DRS. Use one such as {settings.AWS_REGION}."


def check_region(region: str) -> None:
    """Raise Invalid with INVALID_REGION for a region in which nothing can be."""
    if fault := region_fault(region):
        raise Invalid({"region": [fault]}, code="INVALID_REGION")


def check_servers_exist(region: str, ids: Sequence[str], account: str = "") -> str:
    """Ask DRS, live, for exactly these servers and store the answer; returns the account id: `account`, or that of our
    own credentials.

    Raises Invalid with INVALID_SERVER_IDS for ids that DRS does not know, and the contract's DRS errors
    when DRS cannot be asked.
    """
    well_formed = [each for each in ids if SERVER_ID.fullmatch(each)]
    try:
        account = account or account_id(region)
        found = Drs(region, account).source_servers(well_formed) if well_formed else []
    except DrsError as error:
        if error.trouble is not Trouble.NOT_INITIALIZED:
            raise drs_trouble(error) from error
        if is_other_account(region, account) is None:
            note_failure(error, way_of(account))
        raise _no_servers(region, ids, [f"DRS has never been set up in {region}: it has no servers there."]) from error
    known = {server.source_server_id for server in found}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise _no_servers(region, unknown, [f"{each} does not exist in DRS in {region}." for each in unknown])
    left_out = store(region, account, found, whole_region=False)
    if left_out:
        raise _no_servers(region, left_out, [f"{each} is a server of another account, too." for each in left_out])
    return account


def _no_servers(region: str, ids: Sequence[str], texts: Sequence[str]) -> Invalid:
    details = {"invalidServerIds": list(ids), "region": region}
    return Invalid({"sourceServerIds": texts}, code="INVALID_SERVER_IDS", details=details)


WRITE_ALL_SECONDS = 3600.0
_written_until: dict[tuple[str, str], float] = {}  # by account and region, on this process's monotonic clock

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
        "extended_of": server.extended_of,
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
        copied_percent=server.copy.percent if server.copy else None,
        copy_ends_at=server.copy.ends_at if server.copy else None,
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


def store(
    region: str, account: str, servers: Iterable[DrsServer], *, whole_region: bool, way: str | None = None
) -> list[str]:
    """Record what DRS said. With `whole_region`, servers that it no longer named are marked as gone: those of this
    account, of which alone it can tell. Of a server of which DRS says what it said before, only when is written.

    Answers the ids that are another account's: whoever came first has them, and nothing of the other is mixed in."""
    now = db_clock()
    named = {each.source_server_id: each for each in servers if _is_id(each.source_server_id)}
    left_out = [pk for some in chunks(sorted(named)) for pk in _foreign(some, account)]
    for each in left_out:
        del named[each]
    with transaction.atomic():
        mine = SourceServer.objects.filter(region=region, account_id__in=[account, ""], gone_at=None)
        if not whole_region:
            mine = mine.filter(pk__in=list(named))
        rows = mine.values_list("pk", "account_id", "digest")
        known = {pk: digest if owner == account else "" for pk, owner, digest in rows}
        believed = {} if whole_region and _is_time_to_write_all(account, region) else known
        digests = {pk: _digest(account, server, now) for pk, server in named.items()}
        changed = [
            _row(server, account=account, region=region, now=now, digest=digests[pk])
            for pk, server in named.items()
            if digests[pk] != believed.get(pk)
        ]
        update_rows([row for row in changed if row.pk in known], _DESCRIPTION)
        SourceServer.objects.bulk_create(
            [row for row in changed if row.pk not in known],
            update_conflicts=True,
            unique_fields=["source_server_id"],
            update_fields=_DESCRIPTION,
            batch_size=500,
        )
        for some in chunks(sorted(known.keys() - named.keys())):
            mine.filter(pk__in=some).update(gone_at=now)
        mine.update(seen_at=now)
        if whole_region:
            well = {"as_of": now, "initialized": True, "error_code": "", "error_message": ""}
            _note(
                region,
                way_of(account) if way is None else way,
                now,
                account_id=account,
                left_out=left_out or None,
                **well,
            )
    return left_out


def _foreign(ids: Sequence[str], account: str) -> list[str]:
    """Those that the inventory has of another account. DRS's ids are unlikely to be the same anywhere."""
    others = SourceServer.objects.filter(pk__in=ids).exclude(account_id__in=[account, ""])
    return list(others.values_list("pk", flat=True))


def silent_since(server: DrsServer, now: datetime) -> datetime | None:
    """When its agent was last seen, if that is long ago; how often DRS renews that time is not known."""
    seen = server.agent_seen_at
    return seen if seen is not None and now - seen > AGENT_SILENT else None


def _digest(account: str, server: DrsServer, now: datetime) -> str:
    """The same as long as DRS says the same; the order of tags says nothing, nor does when an agent that is not silent
    was seen."""
    told = {**vars(server), "tags": sorted(server.tags.items()), "agent_seen_at": silent_since(server, now)}
    return hashlib.blake2b(repr((account, told)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _is_time_to_write_all(account: str, region: str) -> bool:
    """At a process's first reading, and now and then: a release that knew no digests may have written beside it."""
    now = time.monotonic()
    if now < _written_until.get((account, region), 0.0):
        return False
    _written_until[account, region] = now + WRITE_ALL_SECONDS
    return True


def _note(region: str, way: str, now: datetime, **columns: object) -> None:
    RegionInventory.objects.update_or_create(region=region, way=way, defaults={"tried_at": now, **columns})


def note_failure(error: DrsError, way: str = "") -> None:
    """Remember that a region could not be read; what was known of its servers stays, with its age."""
    now = db_clock()
    if error.trouble is Trouble.NOT_INITIALIZED:
        _note(error.region, way, now, initialized=False, as_of=now, error_code="", error_message="")
    else:
        _note(error.region, way, now, error_code=error.code, error_message=error.message)


@dataclass(frozen=True)
class Reading:
    """What DRS said of one account's region, or why it said nothing. `way` is the account that was entered by its role;
    without one it is that of our own credentials."""

    region: str
    account: str = ""
    servers: Sequence[DrsServer] = ()
    error: DrsError | None = None
    way: str = ""


def fetch(region: str, way: str = "", *, reading: Literal["reader", "poller"] = "reader") -> Reading:
    """Ask DRS for every server of a region, all pages. Touches no database, so it may run in a thread."""
    account = way
    try:
        account = account or account_id(region)
        return Reading(region, account, Drs(region, account, reading=reading).source_servers(), way=way)
    except DrsError as error:
        return Reading(region, account, error=error, way=way)


def is_other_account(region: str, account: str) -> DrsError | None:
    """Why what our own credentials' account says of a region is not to be believed: its groups are of another one."""
    owners = [each for each in accounts_of(region) if not way_of(each)]
    if not account or not owners or account in owners or way_of(account):
        return None
    return other_account(region, ours=account, meant=" and ".join(owners))


def keep(reading: Reading) -> DrsError | None:
    """Write a reading into the inventory; a failed one, or one of another account, only leaves its reason, which is
    answered. A region without groups is whoever's reads it: what our credentials' account before saw there is
    forgotten."""
    region, account = reading.region, reading.account
    error = reading.error if reading.way else is_other_account(region, account) or reading.error
    if error is not None:
        note_failure(error, reading.way)
        return error
    if not reading.way and not ProtectionGroup.objects.filter(region=region).exists():
        others = [each for each in registry.known() if way_of(each)]
        SourceServer.objects.filter(region=region).exclude(account_id__in=[account, "", *others]).delete()
    store(region, account, reading.servers, whole_region=True, way=reading.way)
    return None


def read_region(region: str, way: str = "") -> RegionInventory:
    """Read a region live into the inventory, its recovery instances too; that DRS tells none of those, alone, is noted.
    A region never set up is a state, not an error.

    Raises DrsError for anything else that went wrong, after noting it in the inventory.
    """
    reading = fetch(region, way)
    error = keep(reading)
    if error is not None and error.trouble is not Trouble.NOT_INITIALIZED:
        raise error
    recovery_instances.keep(recovery_instances.fetch(region, reading.account))
    return RegionInventory.objects.get(region=region, way=way)


def accounts_of(region: str) -> list[str]:
    """The accounts whose servers groups of this region have."""
    groups = ProtectionGroup.objects.filter(region=region).exclude(account_id="")
    return sorted(set(groups.order_by().values_list("account_id", flat=True).distinct()))


def places_in_use() -> set[Place]:
    """The regions of accounts of which somebody has a group, or has looked at the servers, or said that they are to be
    read; those of our own credentials' account under no name."""
    grouped = ProtectionGroup.objects.order_by().values_list("account_id", "region").distinct()
    looked_at = RegionInventory.objects.filter(initialized=True, way="").values_list("region", flat=True)
    used = {(way_of(account), region) for account, region in grouped} | {("", region) for region in looked_at}
    return used | {(each.account_id, region) for each in entered() for region in each.regions}


def claim_due_places(now: datetime, *, every: timedelta) -> list[Place]:
    """Places in use that were not tried for `every`; each is given to one caller only."""
    due: list[Place] = []
    tried = {(way, region): at for way, region, at in RegionInventory.objects.values_list("way", "region", "tried_at")}
    for way, region in sorted(places_in_use()):
        row = {"way": way, "region": region}
        if (way, region) not in tried:
            RegionInventory.objects.get_or_create(**row, defaults={"tried_at": now - every})
        is_due = tried.get((way, region), now - every) <= now - every
        if is_due and RegionInventory.objects.filter(**row, tried_at__lte=now - every).update(tried_at=now):
            due.append((way, region))
    return due
