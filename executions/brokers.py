"""Brokers that give up quickly: whoever starts a run must not wait for a broken one.

django-q2's own clients retry for seconds, or wait for a minute, while Redis or SQS is away. A task that is not
enqueued costs a second at most, because rows decide and the sweep finds them.
"""

import time
from functools import cached_property
from typing import Any

import boto3
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django.db import connections
from django.utils import timezone
from django_q.brokers import Broker
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from redis.backoff import NoBackoff
from redis.retry import Retry

WAIT_SECONDS = 2  # how long a fetch waits for a task; a shutdown waits for it, too
_ANY_TASK = f'SELECT 1 FROM {OrmQ._meta.db_table} WHERE "key" = %s AND "lock" < %s LIMIT 1'  # noqa: S608  (its table)
_NEVER_AGAIN = Retry(NoBackoff(), 0)
_QUICK = Config(connect_timeout=0.4, read_timeout=0.5, retries={"total_max_attempts": 1, "mode": "standard"})
_PATIENT = Config(connect_timeout=3, read_timeout=WAIT_SECONDS + 5)


class Database(ORM):
    """django-q2's own broker in the database, but for how an engine asks it five times a second whether there is
    anything: by one statement that is not made anew each time, which took a seventh of what an engine costs at rest."""

    list_key: str

    def dequeue(self) -> Any:
        if self._has_tasks():
            return super().dequeue()  # type: ignore[no-untyped-call]
        time.sleep(Conf.POLL)
        return None

    def _has_tasks(self) -> bool:
        self.get_connection()  # closes one that is broken or too old
        connection = connections[str(Conf.ORM)]
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(_ANY_TASK, [self.list_key, now])
            return cursor.fetchone() is not None


class Redis(Broker):
    """Redis at DRSORCH_BROKER: one connection that enqueues or fails within half a second, one that fetches."""

    list_key: str

    @cached_property
    def sender(self) -> "redis.Redis":
        return redis.Redis.from_url(Conf.REDIS, socket_connect_timeout=0.5, socket_timeout=0.5, retry=_NEVER_AGAIN)

    @cached_property
    def receiver(self) -> "redis.Redis":
        return redis.Redis.from_url(Conf.REDIS, socket_connect_timeout=1, socket_timeout=5, retry=_NEVER_AGAIN)

    def enqueue(self, task: str) -> Any:
        return self.sender.rpush(self.list_key, task)

    def dequeue(self) -> list[tuple[None, bytes]]:
        fetched: Any = self.receiver.blpop([self.list_key], WAIT_SECONDS)
        return [(None, fetched[1])] if fetched else []

    def queue_size(self) -> int:
        size: Any = self.sender.llen(self.list_key)
        return int(size)

    def ping(self) -> bool:
        return bool(self.receiver.ping())

    def info(self) -> str:
        return "Redis"


class Sqs(Broker):
    """An SQS queue named like the cluster, made if it is missing; endpoint and credentials by botocore's own names."""

    list_key: str

    @cached_property
    def sender(self) -> Any:
        return _client(_QUICK)

    @cached_property
    def receiver(self) -> Any:
        return _client(_PATIENT)

    @cached_property
    def url(self) -> str:
        return _queue(self.sender, self.list_key)

    @cached_property
    def source(self) -> str:
        """The same, for whoever fetches and may wait for the answer."""
        return _queue(self.receiver, self.list_key)

    def enqueue(self, task: str) -> str:
        return str(self.sender.send_message(QueueUrl=self.url, MessageBody=task)["MessageId"])

    def dequeue(self) -> list[tuple[str, str]]:
        answer = self.receiver.receive_message(
            QueueUrl=self.source,
            MaxNumberOfMessages=min(Conf.BULK, 10),
            VisibilityTimeout=Conf.RETRY,
            WaitTimeSeconds=WAIT_SECONDS,
        )
        return [(each["ReceiptHandle"], each["Body"]) for each in answer.get("Messages", [])]

    def acknowledge(self, task_id: str) -> None:
        self.receiver.delete_message(QueueUrl=self.source, ReceiptHandle=task_id)

    delete = fail = acknowledge

    def queue_size(self) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self.sender.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def ping(self) -> bool:
        """An engine asks this when it starts, and ends if nobody answers: it may wait."""
        return bool(self.source)

    def info(self) -> str:
        return "AWS SQS"


def _queue(client: Any, name: str) -> str:
    """The address of the queue, which is made if it is missing."""
    try:
        return str(client.get_queue_url(QueueName=name)["QueueUrl"])
    except ClientError as error:
        if not error.response["Error"]["Code"].endswith(("NonExistentQueue", "QueueDoesNotExist")):
            raise
    return str(client.create_queue(QueueName=name)["QueueUrl"])


def _client(config: Config) -> Any:
    return boto3.session.Session(region_name=settings.AWS_REGION).client("sqs", config=config)
