"""SNS topics: one Publish, tried once; the postman tries again."""

import json
import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from notify.channels.message import Parcel, Undelivered
from notify.channels.recipients import region_of

SUBJECT_MAX = 100
_ONCE = Config(connect_timeout=3, read_timeout=7, retries={"total_max_attempts": 1, "mode": "standard"})
_building = threading.Lock()


@cache
def _build(region: str, pid: int) -> Any:
    return boto3.session.Session().client("sns", region_name=region, config=_ONCE)


def _client(region: str) -> Any:
    with _building:  # neither sessions nor the cache's first fill are thread-safe
        return _build(region, os.getpid())


def send(parcel: Parcel) -> None:
    """Publish it: the text to people, JSON to programs. Raises Undelivered."""
    told = json.dumps(parcel.body)
    request: dict[str, Any] = {
        "TopicArn": parcel.target,
        "Subject": _subject(parcel.subject),
        "MessageStructure": "json",
        "Message": json.dumps(
            {"default": parcel.text, **dict.fromkeys(("sqs", "lambda", "http", "https", "firehose"), told)}
        ),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": str(value)}
            for name, value in (
                ("event", parcel.event),
                ("planId", parcel.data.get("planId")),
                ("deliveryId", parcel.delivery_id),
            )
            if value
        },
    }
    if parcel.target.endswith(".fifo"):
        request["MessageGroupId"] = str(parcel.execution_id or parcel.delivery_id)
        request["MessageDeduplicationId"] = str(parcel.delivery_id)
    try:
        _client(region_of(parcel.target)).publish(**request)
    except (ClientError, BotoCoreError, ValueError) as error:
        raise Undelivered(str(error)[:500]) from error


def _subject(text: str) -> str:
    """SNS takes up to 100 printable ASCII characters, of which the first is no space."""
    plain = text.encode("ascii", "replace").decode()
    return "".join(each for each in plain if " " <= each <= "~").strip()[:SUBJECT_MAX] or "DRS Orchestration"
