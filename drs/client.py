"""The one DRS client: boto3 in, our shapes and errors out. Production, demo and tests differ only in the endpoint.

Three boto3 clients an account and region: the reader, for requests that a person waits for, retries by botocore's own
rules; the poller gives up quickly, because the next sweep asks again; the launcher, whose calls have effects and no
idempotency token, never repeats anything by itself. Clients are built once a process, after any fork.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import boto3
from botocore.config import Config

from drs import account as identity
from drs import failed_call_counts
from drs.classify_errors import FAILED_CALL, OtherCredentialsError, SendWindowClosedError, classify
from drs.errors import DrsError, Trouble
from drs.roles import Role, one_call, role_of
from drs.shapes import Job, JobLogItem, LaunchSettings, RecoveryInstance, Snapshot, SourceServer

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.config import _RetryDict
    from mypy_boto3_drs import DrsClient
    from mypy_boto3_drs.type_defs import (
        DescribeJobsRequestPaginateTypeDef,
        PaginatorConfigTypeDef,
        StartRecoveryRequestSourceServerTypeDef,
    )

log = logging.getLogger(__name__)

REMEMBERED = 1000  # items that could not be read, so that each is logged once
IDS_A_CALL = 200  # the model's cap for id filters
SERVERS_PER_JOB = 100  # DRS quota L-B827C881, of terminations likely, too; the model would take 200
SEND_WINDOW_SECONDS = 30.0
NO_SNAPSHOTS: Mapping[str, str] = {}

_ONCE: "_RetryDict" = {"total_max_attempts": 1, "mode": "standard"}
_CONFIGS = {
    "reader": Config(connect_timeout=3, read_timeout=10, max_pool_connections=16),
    # What can be asked again, while something else waits for the answer.
    "glance": Config(connect_timeout=2, read_timeout=3, max_pool_connections=16, retries=_ONCE),
    # By a person who watches the page load, of region after region: throttled it asks again, silent it says so soon.
    "checker": Config(
        connect_timeout=2,
        read_timeout=5,
        max_pool_connections=16,
        retries={"total_max_attempts": 2, "mode": "standard"},
    ),
    "poller": Config(connect_timeout=3, read_timeout=8, max_pool_connections=32, retries=_ONCE),
    # Before a launch that may end production: whoever waits for it waits no longer than it takes AWS to answer at all.
    "guard": Config(connect_timeout=2, read_timeout=5, max_pool_connections=16, retries=_ONCE),
    "launcher": Config(connect_timeout=3, read_timeout=20, max_pool_connections=16, retries=_ONCE),
}

T = TypeVar("T")


@dataclass(frozen=True)
class SendWindow:
    """How long after its intent a launch may still be signed and sent, by wall clock and by monotonic clock.

    A process that was frozen between intent and request must not launch when it wakes up. Each clock covers
    what the other misses: the wall clock may be set back, the monotonic one stands still in a suspended host.
    """

    seconds: float = SEND_WINDOW_SECONDS
    wall: float = field(default_factory=time.time)
    monotonic: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise SendWindowClosedError when the window has passed on either clock."""
        if max(time.time() - self.wall, time.monotonic() - self.monotonic) > self.seconds:
            raise SendWindowClosedError(f"more than {self.seconds:.0f} s since the intent was recorded")


_current = threading.local()
_unreadable: set[str] = set()


@contextmanager
def _within(window: SendWindow) -> Iterator[None]:
    _current.window = window
    try:
        yield
    finally:
        del _current.window


@contextmanager
def _signed_with(access_key: str) -> Iterator[None]:
    """What is sent in here must be signed with this key, whose account was looked at; empty: with any."""
    _current.access_key = access_key
    try:
        yield
    finally:
        del _current.access_key


def _refuse_late(**_: Any) -> None:
    """Before the request is signed, and again before it is sent: botocore dates the signature only after it has
    fetched credentials, and a slow refresh or a freeze there would sign freshly after the window."""
    window: SendWindow | None = getattr(_current, "window", None)
    if window is not None:
        window.check()


def _refuse_other_credentials(request: "AWSPreparedRequest", **_: Any) -> None:
    """Before a request is sent: credentials may have been renewed, as another account's, since they were looked at."""
    access_key: str = getattr(_current, "access_key", "")
    if access_key and f"Credential={access_key}/" not in _text(request.headers.get("Authorization", "")):
        raise OtherCredentialsError("the AWS credentials changed while the request was made; it was not sent")


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header


def _read_plainly(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Before an answer is parsed: what lists thousands is read as the JSON that it is. botocore walks its model through
    every member, which costs more than all that we do with them; our shapes believe no type anyway."""
    if response_dict["status_code"] != 200:
        return
    try:
        told = json.loads(response_dict["body"])
    except ValueError:
        return  # botocore says what it makes of it
    if isinstance(told, dict):
        customized_response_dict.update(told)
        response_dict["body"] = b"{}"


@cache
def _build(region: str, purpose: str, role: Role | None, pid: int) -> "DrsClient":
    client: DrsClient = identity.make_client("drs", region, _CONFIGS[purpose], role, pid)
    client.meta.events.register("before-send.drs", _refuse_other_credentials)
    for operation in ("DescribeSourceServers", "DescribeJobs", "DescribeRecoveryInstances"):
        client.meta.events.register(f"before-parse.drs.{operation}", _read_plainly)
    if purpose == "launcher":
        client.meta.events.register("before-sign.drs", _refuse_late)
        client.meta.events.register("before-send.drs", _refuse_late)
    return client


def _boto(region: str, account: str, purpose: str) -> "DrsClient":
    role = identity.open_role(region, account)
    with identity.making:  # neither sessions nor the cache's first fill are thread-safe
        return _build(region, purpose, role, os.getpid())


def available_regions() -> list[str]:
    """Regions in which DRS exists, as this botocore knows them; none of them needs to be enabled or set up."""
    session = boto3.session.Session()
    return sorted(session.get_available_regions("drs") + session.get_available_regions("drs", "aws-us-gov"))


def _in_their_place(items: Sequence[JobLogItem]) -> Iterator[JobLogItem]:
    """Lines of which DRS tells no time stand where it sent them: beside the one before."""
    at = next((each.at for each in items if each.dated), None)
    for each in items:
        at = each.at if each.dated else at
        yield replace(each, at=at or each.at)


def _readable(read: Callable[[Mapping[str, Any]], T], items: Iterable[object]) -> Iterator[T]:
    """What can be read of a page: an odd item, of a stranger perhaps, keeps nobody from the others. Each is logged
    once a process."""
    for item in items:
        try:
            yield read(cast("Mapping[str, Any]", item))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            text = f"{item!r:.300}"
            if len(_unreadable) < REMEMBERED and text not in _unreadable:
                _unreadable.add(text)
                log.warning("Skipping an item of a DRS answer that cannot be read (%s): %s", error, text)


def _wanted(source_server_id: str, snapshot_id: str | None) -> "StartRecoveryRequestSourceServerTypeDef":
    if snapshot_id:
        return {"sourceServerID": source_server_id, "recoverySnapshotID": snapshot_id}
    return {"sourceServerID": source_server_id}


def _utc_z(at: datetime) -> str:
    # DRS refuses the +00:00 that isoformat() writes: it wants a literal Z.
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told_at(page: Mapping[str, Any]) -> datetime | None:
    """The time that an answer is dated with: what AWS's clock shows, to the second."""
    try:
        return parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Drs:
    """DRS in one region. Every method raises DrsError and nothing else for a call that failed.

    `account` is the account that is meant, which is entered by its role if it has one: nothing is asked of another one,
    nor sent to it (Trouble.OTHER_ACCOUNT). Without it our own credentials' account is meant, whichever that is: for
    whoever has just asked for that one.
    `reading` is `reader` where a person waits, `checker` where one waits for many calls, `poller` where the next sweep
    asks again, `guard` before a launch, `glance` where something else waits meanwhile.
    """

    region: str
    account: str = ""
    reading: Literal["reader", "checker", "poller", "guard", "glance"] = "reader"

    @property
    def _reader(self) -> "DrsClient":
        return _boto(self.region, self.account, self.reading)

    def _call(self, operation: str, work: Callable[[], T]) -> T:
        with one_call():
            return self._ask(operation, work)

    def _ask(self, operation: str, work: Callable[[], T]) -> T:
        access_key = identity.check(self.region, self.account) if self.account else ""
        try:
            with _signed_with(access_key):
                return work()
        except FAILED_CALL as error:
            account = self.account if role_of(self.account) else ""
            told = classify(error, region=self.region, operation=operation, account=account)
            raise failed_call_counts.note(told) from error

    def check(self) -> None:
        """Raises DrsError unless source servers may be read."""
        self._call("DescribeSourceServers", lambda: self._reader.describe_source_servers(maxResults=1)["items"])

    # Reading: repeatable, all pages. A page without `items` is no answer: botocore makes one of a body that it cannot
    # parse, and taking that for an empty list would say that every server is gone.

    def source_servers(self, ids: Sequence[str] | None = None) -> list[SourceServer]:
        """All source servers of the region, or those of `ids` that exist (any number, 200 a call)."""
        if ids is None:
            return self._call("DescribeSourceServers", lambda: list(self._source_servers(None)))
        chunks = [ids[at : at + IDS_A_CALL] for at in range(0, len(ids), IDS_A_CALL)]
        return self._call(
            "DescribeSourceServers",
            lambda: [server for chunk in chunks for server in self._source_servers(chunk)],
        )

    def _source_servers(self, ids: Sequence[str] | None) -> Iterator[SourceServer]:
        filters = {"sourceServerIDs": list(ids)} if ids else {}
        for page in self._reader.get_paginator("describe_source_servers").paginate(filters=filters):  # type: ignore[arg-type]
            yield from _readable(SourceServer.read, page["items"])

    def jobs(self, job_ids: Sequence[str]) -> list[Job]:
        """The jobs of `job_ids` that DRS shows now; a job just made may not be shown yet."""
        chunks = [job_ids[at : at + IDS_A_CALL] for at in range(0, len(job_ids), IDS_A_CALL)]
        return self._call(
            "DescribeJobs",
            lambda: [job for chunk in chunks for job in self._jobs({"filters": {"jobIDs": list(chunk)}})],
        )

    def jobs_since(self, since: datetime) -> list[Job]:
        """Every job created at or after `since`, ours and others', newest first."""
        return self._call("DescribeJobs", lambda: list(self._jobs({"filters": {"fromDate": _utc_z(since)}})))

    def _jobs(self, request: "DescribeJobsRequestPaginateTypeDef") -> Iterator[Job]:
        for page in self._reader.get_paginator("describe_jobs").paginate(**request):
            told_at = _told_at(page)
            yield from (replace(each, told_at=told_at) for each in _readable(Job.read, page["items"]))

    def job_log(self, job_id: str) -> list[JobLogItem]:
        """The whole log of a job, oldest first."""
        items = self._call("DescribeJobLogItems", lambda: list(self._job_log(job_id)))
        return sorted(_in_their_place(items), key=lambda item: item.at)

    def _job_log(self, job_id: str) -> Iterator[JobLogItem]:
        for page in self._reader.get_paginator("describe_job_log_items").paginate(jobID=job_id):
            yield from _readable(JobLogItem.read, page["items"])

    def recovery_instances(self, source_server_ids: Sequence[str] | None = None) -> list[RecoveryInstance]:
        """The recovery instances that exist now for these source servers, or in the whole region; of any job."""
        if source_server_ids is None:
            return self._call("DescribeRecoveryInstances", lambda: list(self._recovery_instances(None)))
        chunks = [source_server_ids[at : at + IDS_A_CALL] for at in range(0, len(source_server_ids), IDS_A_CALL)]
        return self._call(
            "DescribeRecoveryInstances",
            lambda: [instance for chunk in chunks for instance in self._recovery_instances(chunk)],
        )

    def _recovery_instances(self, source_server_ids: Sequence[str] | None) -> Iterator[RecoveryInstance]:
        filters = {"sourceServerIDs": list(source_server_ids)} if source_server_ids else {}
        for page in self._reader.get_paginator("describe_recovery_instances").paginate(filters=filters):  # type: ignore[arg-type]
            yield from _readable(RecoveryInstance.read, page["items"])

    def latest_snapshot(self, source_server_id: str) -> datetime | None:
        """When the newest point in time was taken that this server can be launched from; None when there is none."""
        newest = self._call(
            "DescribeRecoverySnapshots", lambda: next(self._snapshots(source_server_id, {"PageSize": 1}), None)
        )
        return newest.at if newest else None

    def snapshots(self, source_server_id: str, since: datetime | None = None) -> list[Snapshot]:
        """A server's points in time, newest first: down to the first that is not after `since`, or all of them."""

        def ask() -> list[Snapshot]:
            found = []
            for each in self._snapshots(source_server_id, {}):
                found.append(each)
                if since is not None and each.at <= since:
                    break
            return found

        return self._call("DescribeRecoverySnapshots", ask)

    def _snapshots(self, source_server_id: str, paging: "PaginatorConfigTypeDef") -> Iterator[Snapshot]:
        pages = self._reader.get_paginator("describe_recovery_snapshots")
        for page in pages.paginate(sourceServerID=source_server_id, order="DESC", PaginationConfig=paging):
            yield from _readable(Snapshot.read, [each for each in page["items"] if Snapshot.is_taken(each)])

    def launch_settings(self, source_server_id: str) -> LaunchSettings | None:
        """How this server is launched; None when it has no launch settings."""

        def ask() -> LaunchSettings:
            told = self._reader.get_launch_configuration(sourceServerID=source_server_id)
            if told.keys() <= {"ResponseMetadata"}:  # what botocore makes of a body that it cannot parse
                raise ValueError("nothing of the launch settings")
            return LaunchSettings.read(told)

        try:
            return self._call("GetLaunchConfiguration", ask)
        except DrsError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return None
            raise

    # Acting: never repeated here.

    def start_recovery(
        self,
        source_server_ids: Sequence[str],
        *,
        is_drill: bool,
        tags: dict[str, str],
        window: SendWindow,
        snapshots: Mapping[str, str] = NO_SNAPSHOTS,
    ) -> Job:
        """Launch up to 100 servers as one job, those of `snapshots` from these, others from one that DRS takes now.
        `is_drill` is always sent: leaving it out means a real recovery."""

        def send() -> Job:
            with _within(window):
                answer = _boto(self.region, self.account, "launcher").start_recovery(
                    sourceServers=[_wanted(each, snapshots.get(each)) for each in source_server_ids],
                    isDrill=is_drill,
                    tags=tags,
                )
            return Job.read(answer["job"])

        return self._call("StartRecovery", send)

    def terminate(self, recovery_instance_ids: Sequence[str], *, window: SendWindow) -> Job:
        """Ask for up to 200 instances to be terminated; the answer is a TERMINATE job, not a result."""

        def send() -> Job:
            with _within(window):
                answer = _boto(self.region, self.account, "launcher").terminate_recovery_instances(
                    recoveryInstanceIDs=list(recovery_instance_ids)
                )
            return Job.read(answer["job"])

        return self._call("TerminateRecoveryInstances", send)
