"""EventBridge: PutEvents, ten entries and 256 KB at most, tried once; the delivery worker tries again.

AWS answers for each entry by itself: what it did not take is sent again alone, before what comes after it in the queue.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.recipients import region_of_bus

SOURCE = "drsorch"
ENTRIES_MAX = 10
BYTES_MAX = 256 * 1024  # of all entries of a request together, as AWS counts them
TIME_BYTES = 14
DETAIL_MAX = BYTES_MAX - 1_024  # beside it source, type and time
_ONCE = Config(connect_timeout=3, read_timeout=7, retries={"total_max_attempts": 1, "mode": "standard"})
_building = threading.Lock()

Entry = dict[str, Any]


@cache
def _build(region: str, pid: int) -> Any:
    return boto3.session.Session().client("events", region_name=region, config=_ONCE)


def _client(region: str) -> Any:
    with _building:  # neither sessions nor the cache's first fill are thread-safe
        return _build(region, os.getpid())


def parts(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    """In their order, as many at a time as one request takes."""
    part: list[OutgoingMessage] = []
    size = 0
    for message in messages:
        more = size_of(_entry(message))
        if part and (len(part) == ENTRIES_MAX or size + more > BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(message)
        size += more
    if part:
        yield part


def size_of(entry: Entry) -> int:
    """As AWS counts an entry."""
    texts = sum(len(str(entry[name]).encode()) for name in ("Source", "DetailType", "Detail"))
    return texts + (TIME_BYTES if "Time" in entry else 0)


def put(messages: Sequence[OutgoingMessage]) -> list[DeliveryFailed | None]:
    """Put them on their bus; of each whether it was taken. Raises DeliveryFailed when nobody knows of any."""
    target = messages[0].target
    try:
        answer = _client(region_of_bus(target)).put_events(Entries=[_entry(each) for each in messages])
    except ClientError as error:
        told = error.response.get("Error", {})
        raise _failed(target, str(told.get("Code", "")), str(told.get("Message", error))) from error
    except (BotoCoreError, ValueError) as error:
        raise DeliveryFailed(str(error)[:500]) from error
    results = list(answer.get("Entries", []))
    if len(results) != len(messages):
        raise DeliveryFailed(f"EventBridge answered for {len(results)} of {len(messages)} events.")
    return [_of_result(target, each) for each in results]


def send(message: OutgoingMessage) -> None:
    """One alone. Raises DeliveryFailed."""
    (failure,) = put([message])
    if failure is not None:
        raise failure


def _of_result(target: str, result: Entry) -> DeliveryFailed | None:
    code = str(result.get("ErrorCode") or "")
    return _failed(target, code, str(result.get("ErrorMessage") or "")) if code else None


def _entry(message: OutgoingMessage) -> Entry:
    entry: Entry = {
        "Source": SOURCE,
        "DetailType": message.type,
        "Detail": message.within(DETAIL_MAX),
        "EventBusName": message.target,
    }
    return entry | ({"Time": message.at} if message.at else {})


def _failed(target: str, code: str, text: str) -> DeliveryFailed:
    """Why it was not taken, in plain words, and AWS's own."""
    words = f"{code}: {text}"[:300]
    if code == "ResourceNotFoundException":
        where = f"in {region_of_bus(target)}"
        return DeliveryFailed(
            f"There is no event bus “{target}” {where}. Make it, or change the subscription. ({words})"
        )
    if "AccessDenied" in code or code.startswith("NotAuthorized"):
        return DeliveryFailed(
            f"AWS does not let the engine put events on “{target}”. Its role needs events:PutEvents there"
            f" (deploy/iam/notify.json), and a bus of another account a policy that lets us. ({words})"
        )
    return DeliveryFailed(words)
