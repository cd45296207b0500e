"""The inventory of recovery instances: DRS replaces a server's instance when it launches the server anew, so whoever
starts a run has to know which there are, whoever launched them."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from django.db import transaction

from accounts import registry
from accounts.registry import way_of
from contract.chunks import chunks
from contract.clock import db_clock
from contract.errors import DomainError, Unavailable
from drs.client import IDS_A_CALL, Drs
from drs.errors import DrsError, Trouble, where
from drs.roles import role_of
from drs.shapes import Job
from drs.shapes import RecoveryInstance as DrsInstance
from protection.inventory import native_runs
from protection.inventory.drs_refusals import RETRY_AFTER_SECONDS, drs_trouble
from protection.models import RecoveryInstance, RegionInventory

BELIEVED = timedelta(minutes=1)  # for so long what DRS listed is what runs
ANEW = timedelta()  # … where somebody starts a run: DRS is asked anew

Place = tuple[str, str]  # account, region

_DESCRIPTION = [
    "source_server_id",
    "account_id",
    "region",
    "is_drill",
    "ec2_state",
    "failback_state",
    "job_id",
    "point_in_time",
    "seen_at",
]
_COMPARED = ("source_server_id", "is_drill", "ec2_state", "failback_state", "job_id", "point_in_time")


@dataclass(frozen=True)
class Reading:
    """The recovery instances of a region, or why DRS did not tell them. `began`, on the monotonic clock, is when it was
    asked: what was launched after that may be missing."""

    region: str
    account: str
    instances: Sequence[DrsInstance] = ()
    error: DrsError | None = None
    began: float = field(default_factory=time.monotonic)


def fetch(region: str, account: str, reading: Literal["poller", "guard"] = "poller") -> Reading:
    """Ask DRS for every recovery instance of an account and region, all pages. Touches no database, so it may run in a
    thread."""
    began = time.monotonic()
    try:
        return Reading(region, account, Drs(region, account, reading=reading).recovery_instances(), began=began)
    except DrsError as error:
        if error.trouble is Trouble.NOT_INITIALIZED:  # DRS was never set up there, so it has launched nothing
            return Reading(region, account, began=began)
        return Reading(region, account, error=error, began=began)


def keep(reading: Reading) -> None:
    """Write down what DRS listed; after no answer all that was known stays, with its age and the reason."""
    now = db_clock()
    as_of = now - timedelta(seconds=time.monotonic() - reading.began)
    here = {"region": reading.region, "way": way_of(reading.account)}
    RegionInventory.objects.get_or_create(**here, defaults={"tried_at": now - timedelta(days=1)})
    with transaction.atomic():
        row = RegionInventory.objects.select_for_update().get(**here)
        if reading.error is not None:
            row.instances_error = f"{reading.error.code}: {reading.error.message}"
            row.save(update_fields=["instances_error"])
        elif not _is_late(row, reading.account, as_of):
            _replace(reading, as_of)
            row.instances_as_of, row.instances_account_id, row.instances_error = as_of, reading.account, ""
            row.save(update_fields=["instances_as_of", "instances_account_id", "instances_error"])


def _is_late(row: RegionInventory, account: str, as_of: datetime) -> bool:
    """Whether a later reading is written down already: two may be under way."""
    is_same = row.instances_account_id == account
    return is_same and row.instances_as_of is not None and row.instances_as_of > as_of


def _replace(reading: Reading, as_of: datetime) -> None:
    """Of an instance of which DRS says what it said before, only when is written."""
    listed = RecoveryInstance.objects.filter(region=reading.region, account_id=reading.account)
    known = {each[0]: each[1:] for each in listed.values_list("pk", *_COMPARED)}
    rows = {each.recovery_instance_id: _row(each, reading, as_of) for each in reading.instances}
    changed = [row for pk, row in rows.items() if tuple(getattr(row, name) for name in _COMPARED) != known.get(pk)]
    RecoveryInstance.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["recovery_instance_id"],
        update_fields=_DESCRIPTION,
        batch_size=500,
    )
    for some in chunks(sorted(known.keys() - rows.keys())):
        listed.filter(pk__in=some).delete()
    listed.filter(seen_at__lt=as_of).update(seen_at=as_of)


def _row(told: DrsInstance, reading: Reading, as_of: datetime) -> RecoveryInstance:
    return RecoveryInstance(
        recovery_instance_id=told.recovery_instance_id,
        source_server_id=told.source_server_id,
        account_id=reading.account,
        region=reading.region,
        is_drill=told.is_drill,
        ec2_state=told.ec2_state[:32],
        failback_state=told.failback_state[:48],
        job_id=told.job_id[:24],
        point_in_time=told.point_in_time,
        seen_at=as_of,
    )


# Who launched them, and when: DRS tells it of the job


def unknown_jobs(region: str, account: str) -> list[str]:
    """The jobs of instances of which DRS was not asked yet who launched them, as many as one call takes."""
    mine = RecoveryInstance.objects.filter(region=region, account_id=account)
    unasked = mine.filter(initiated_by=None).exclude(job_id="").order_by("job_id")
    return list(unasked.values_list("job_id", flat=True).distinct()[:IDS_A_CALL])


def keep_jobs(region: str, account: str, job_ids: Sequence[str], jobs: Iterable[Job]) -> None:
    """Write down whose launches these jobs are; of those that DRS forgot it is not asked again."""
    found = {job.job_id: job for job in jobs}
    for job_id in job_ids:
        job = found.get(job_id)
        columns = {"initiated_by": job.initiated_by[:64] if job else "", "launched_at": job.created_at if job else None}
        RecoveryInstance.objects.filter(region=region, account_id=account, job_id=job_id).update(**columns)


# What a start asks


@dataclass(frozen=True)
class InstancesKnown:
    """When DRS was last asked which recovery instances run in some places, the longest ago; and of which places that is
    too long ago, with the reason. `native_silent`: where it did not tell which of its own recovery plans run."""

    as_of: datetime | None = None
    silent: Mapping[Place, DomainError] = field(default_factory=dict)
    native_silent: Mapping[Place, DomainError] = field(default_factory=dict)

    @property
    def unlisted(self) -> dict[Place, str]:
        """What to say of a launch that is made although DRS did not list the instances of these places."""
        text = "AWS did not list the recovery instances in {}; any that exist are replaced."
        return {place: _said(text, place, why) for place, why in self.silent.items()}

    @property
    def native_untold(self) -> dict[Place, str]:
        """The same of DRS's own recovery plans."""
        text = "AWS did not tell which recovery plans of its own DRS runs in {}."
        return {place: _said(text, place, why) for place, why in self.native_silent.items()}


def in_words(place: Place) -> str:
    """A place for people, with the account where it is not our own."""
    account, region = place
    return where(region, account if role_of(account) else "")


def _said(text: str, place: Place, why: DomainError) -> str:
    """With AWS's words, and without what silence means for a request that it stops: this one is carried out."""
    code, words = why.details.get("awsCode"), why.details.get("awsMessage")
    return f"{text.format(in_words(place))} ({f'{code}: {words}' if code else 'Not read within the last minute.'})"


def look(places: Collection[Place], *, believed: timedelta = BELIEVED) -> InstancesKnown:
    """Have DRS asked where that was not done for `believed`. Never inside a transaction: it may take seconds."""
    old = sorted({place for place in places if not _is_known(place, believed)})
    failed: dict[Place, DrsError] = {}
    untold: dict[Place, DrsError] = {}
    if old:
        registry.known()  # so that threads without a database know how to enter the accounts
        with ThreadPoolExecutor(2 * len(old), initializer=registry.without_database) as threads:
            native = threads.map(_fetch_native, old)
            for place, reading in zip(old, threads.map(_fetch_at_start, old), strict=True):
                keep(reading)
                if reading.error is not None:
                    failed[place] = reading.error
                else:
                    _learn_launches(place)
            for place, told in zip(old, native, strict=True):
                native_runs.keep(told)
                if told.error is not None:
                    untold[place] = told.error
    return known(places, failed, untold)


def _fetch_at_start(place: Place) -> Reading:
    return fetch(place[1], place[0], reading="guard")


def _fetch_native(place: Place) -> native_runs.Reading:
    return native_runs.fetch(place[1], place[0], reading="guard")


def _learn_launches(place: Place) -> None:
    """Who launched what is new there; while DRS does not say, nobody knows."""
    account, region = place
    if unknown := unknown_jobs(region, account):
        try:
            keep_jobs(region, account, unknown, Drs(region, account, reading="guard").jobs(unknown))
        except DrsError:
            return  # a start does not depend on it, and the next reading asks again


def known(
    places: Collection[Place],
    failed: Mapping[Place, DrsError] | None = None,
    untold: Mapping[Place, DrsError] | None = None,
) -> InstancesKnown:
    """What the last readings are worth; `failed` is why those that were just tried told nothing, `untold` why DRS did
    not tell which of its own plans run."""
    wanted = sorted(set(places))
    times = [as_of for place in wanted if (as_of := _as_of(place))]
    failed = failed or {}  # also where an answer of a moment ago is at hand: the question was asked, and not answered
    silent = {
        each: _why_silent(each, failed.get(each)) for each in wanted if each in failed or not _is_known(each, BELIEVED)
    }
    as_of = min(times) if times and len(times) == len(wanted) else None
    return InstancesKnown(as_of, silent, {place: drs_trouble(error) for place, error in (untold or {}).items()})


def _as_of(place: Place) -> datetime | None:
    account, region = place
    row = RegionInventory.objects.of(account, region).filter(instances_account_id=account).first()
    return row.instances_as_of if row else None


def _is_known(place: Place, believed: timedelta) -> bool:
    as_of = _as_of(place)
    return as_of is not None and as_of >= db_clock() - believed


def _why_silent(place: Place, error: DrsError | None) -> DomainError:
    if error is not None:
        return drs_trouble(error)
    return Unavailable(
        "DRS_UNAVAILABLE",
        f"The recovery instances in {place[1]} have not been read within the last minute. Try again shortly.",
        details={"region": place[1]},
        retry_after=RETRY_AFTER_SECONDS,
    )


def production(server_ids: Sequence[str]) -> list[RecoveryInstance]:
    """The instances of these servers that may run production, as DRS last listed them."""
    instances = RecoveryInstance.objects.production()
    return [each for chunk in chunks(server_ids) for each in instances.filter(source_server_id__in=chunk)]
