"""SNS topics: one Publish, tried once; the delivery worker tries again."""

import json
import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.recipients import region_of

SUBJECT_MAX = 100
BODY_MAX = 40_000  # bytes: SNS takes 256 KB, in which the body stands five times, quoted, and the text once
TEXT_MAX = 30_000  # characters
_ONCE = Config(connect_timeout=3, read_timeout=7, retries={"total_max_attempts": 1, "mode": "standard"})
_building = threading.Lock()


@cache
def _build(region: str, pid: int) -> Any:
    return boto3.session.Session().client("sns", region_name=region, config=_ONCE)


def _client(region: str) -> Any:
    with _building:  # neither sessions nor the cache's first fill are thread-safe
        return _build(region, os.getpid())


def send(message: OutgoingMessage) -> None:
    """Publish it: the text to people, JSON to programs. Raises DeliveryFailed."""
    told = message.within(BODY_MAX)
    request: dict[str, Any] = {
        "TopicArn": message.target,
        "Subject": _subject(message.subject),
        "MessageStructure": "json",
        "Message": json.dumps(
            {"default": message.text[:TEXT_MAX], **dict.fromkeys(("sqs", "lambda", "http", "https", "firehose"), told)}
        ),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": str(value)}
            for name, value in (
                ("event", message.event),
                ("planId", message.data.get("planId")),
                ("deliveryId", message.delivery_id),
            )
            if value
        },
    }
    if message.target.endswith(".fifo"):
        request["MessageGroupId"] = str(message.execution_id or message.delivery_id)
        request["MessageDeduplicationId"] = str(message.delivery_id)
    try:
        _client(region_of(message.target)).publish(**request)
    except (ClientError, BotoCoreError, ValueError) as error:
        raise DeliveryFailed(str(error)[:500]) from error


def _subject(text: str) -> str:
    """SNS takes up to 100 printable ASCII characters, of which the first is no space."""
    plain = text.encode("ascii", "replace").decode()
    return "".join(each for each in plain if " " <= each <= "~").strip()[:SUBJECT_MAX] or "DRS Orchestration"
