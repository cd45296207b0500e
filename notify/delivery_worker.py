"""Sends what the outbox holds: beside the engine's beat, in threads, so that no receiver holds up a run.

A delivery is claimed by one conditional UPDATE with a lease, so of two engines one sends it. It is marked when the
receiver has taken it; an engine that is killed before that leaves a delivery that is due again when its lease ends:
at least once, never lost.
"""

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from django.db import Error as DatabaseTrouble
from django.db import connections, transaction
from django.db.models import F, Min, QuerySet

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock, db_clock
from contract.database_errors import is_outage
from notify.channels import mail, sns, webhook
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.signing import UnreadableSecret, unseal
from notify.models import Delivery, Notice, Subscription
from notify.states import Channel, DeliveryStatus

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)  # longer than any attempt may take
GIVE_UP_AFTER = timedelta(days=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
KEEP_FOR = timedelta(days=90)
DELETE_OLD_EVERY = timedelta(hours=1)
DELETE_OLD_BATCH = 500
THREADS = 8
PAUSE_SECONDS = 1.0
LAST_WAIT_SECONDS = 15.0

Send = Callable[[OutgoingMessage], None]


def send(outgoing: OutgoingMessage) -> None:
    """By the message's channel. Raises DeliveryFailed."""
    channel = Channel(outgoing.channel)
    match channel:
        case Channel.SNS:
            sns.send(outgoing)
        case Channel.EMAIL:
            mail.send(outgoing)
        case Channel.WEBHOOK:
            webhook.send(outgoing)
        case _:
            assert_never(channel)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: 10 s, 20 s, 40 s … up to an hour."""
    doublings = min(max(attempts, 1) - 1, 20)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process may send now."""

    delivery: Delivery
    token: uuid.UUID


class DeliveryWorker:
    """Lives as long as an engine; make it after the fork, it owns threads. They speak to receivers only, never to the
    database."""

    def __init__(self, clock: Clock = db_clock, send: Send = send) -> None:
        self.clock = clock
        self.send = send
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notify")
        self.under_way: dict[Future[None], Claimed] = {}
        self.next_tidy: datetime | None = None

    def once(self) -> None:
        """Mark what was sent, and begin to send what is due. Idle: one query."""
        self._collect(0)
        now = self.clock()
        for delivery in self._candidates(now):
            self._claim(delivery, now)
        self._delete_old(now)

    def drain(self, max_wait: float = LAST_WAIT_SECONDS) -> None:
        """Wait for what is under way, and mark it."""
        if self.under_way:
            wait(self.under_way, timeout=max_wait)
            self._collect(0)

    def close(self) -> None:
        """End without waiting for receivers; what was begun is due again when its lease ends."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. Survives whatever the database or a receiver does."""
        while not stop.is_set():
            self._wait(stop)
            try:
                self.once()
            except Exception as error:  # the next round may do better; runs must never depend on this
                if is_outage(error):
                    log.exception("Notifications are waiting for the database")
                    connections.close_all()
                else:
                    log.exception("Sending notifications failed; retrying")
        try:
            self.drain()
        except DatabaseTrouble:
            log.exception("The last notifications could not be marked as sent; they will be sent again")
        self.close()
        connections.close_all()

    def _wait(self, stop: threading.Event) -> None:
        """Until something under way has ended, which makes room for what waits behind it; a second at most."""
        if self.under_way:
            wait(self.under_way, timeout=PAUSE_SECONDS, return_when=FIRST_COMPLETED)
        else:
            stop.wait(PAUSE_SECONDS)

    def _candidates(self, now: datetime) -> list[Delivery]:
        """One due delivery of each subscription, the longest due first, as far as there are threads: a receiver that
        hangs keeps only its own waiting, and however much is due to one never hides another."""
        busy = {claimed.delivery.subscription_id for claimed in self.under_way.values()}
        due = Delivery.objects.filter(next_try_at__lte=now)
        turns = due.values_list("subscription_id").annotate(since=Min("next_try_at")).order_by("since")
        free = [owner for owner, _ in turns if owner is None or owner not in busy][: THREADS - len(self.under_way)]
        firsts = [
            pk
            for owner in free
            for pk in due.filter(subscription_id=owner).order_by("next_try_at").values_list("pk", flat=True)[:1]
        ]
        # By id: with the subscription in the condition, Django leaves out those whose subscription is gone.
        found = Delivery.objects.filter(pk__in=firsts) if firsts else Delivery.objects.none()
        return list(found.select_related("notice", "subscription").order_by("next_try_at"))

    def _claim(self, delivery: Delivery, now: datetime) -> None:
        token = uuid.uuid4()
        mine = Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.PENDING, next_try_at__lte=now)
        if not mine.update(claim=token, next_try_at=now + LEASE, tried_at=now, attempts=F("attempts") + 1):
            return
        delivery.attempts += 1
        claimed = Claimed(delivery, token)
        if delivery.subscription is None:  # deleted while this was written
            self._end(claimed, DeliveryStatus.WITHDRAWN, "", now)
            return
        try:
            outgoing = _outgoing_message(delivery, delivery.subscription)
        except UnreadableSecret as error:
            self._retry_or_give_up(claimed, str(error), now)
        else:
            self.under_way[self.threads.submit(self.send, outgoing)] = claimed

    def _collect(self, max_wait: float) -> None:
        done, _ = wait(self.under_way, timeout=max_wait, return_when=FIRST_COMPLETED)
        for future in done:
            claimed, error = self.under_way.pop(future), future.exception()
            if error is None:
                self._end(claimed, DeliveryStatus.DELIVERED, "", self.clock())
            else:
                if not isinstance(error, DeliveryFailed):
                    log.error("A notification could not be sent", exc_info=error)
                self._retry_or_give_up(claimed, str(error) or type(error).__name__, self.clock())

    def _retry_or_give_up(self, claimed: Claimed, text: str, now: datetime) -> None:
        """Try again later, or give up after a day and say so."""
        delivery = claimed.delivery
        if now - delivery.created_at >= GIVE_UP_AFTER:
            with transaction.atomic():
                if self._end(claimed, DeliveryStatus.GIVEN_UP, text, now):
                    _journal(delivery, text)
            log.error(
                "Giving up on notifying %s of “%s”: %s",
                delivery.recipient,
                delivery.notice,
                text,
                extra=_about(delivery),
            )
            return
        log.warning(
            "Notifying %s of “%s” failed: %s", delivery.recipient, delivery.notice, text, extra=_about(delivery)
        )
        later = now + backoff(delivery.attempts)
        self._held(claimed).update(claim=None, next_try_at=later, error=text)

    def _end(self, claimed: Claimed, status: DeliveryStatus, error: str, now: datetime) -> int:
        return self._held(claimed).update(status=status, claim=None, next_try_at=None, ended_at=now, error=error)

    def _held(self, claimed: Claimed) -> "QuerySet[Delivery]":
        return Delivery.objects.filter(pk=claimed.delivery.pk, claim=claimed.token)

    def _delete_old(self, now: datetime) -> None:
        """Forget now and then what was over long ago; the journal and the runs keep what matters."""
        if self.next_tidy is None:
            self.next_tidy = now + DELETE_OLD_EVERY
        if now < self.next_tidy:
            return
        old = Notice.objects.filter(happened_at__lt=now - KEEP_FOR).exclude(deliveries__status=DeliveryStatus.PENDING)
        ids = list(old.values_list("pk", flat=True)[:DELETE_OLD_BATCH])
        Notice.objects.filter(pk__in=ids).delete()
        if len(ids) < DELETE_OLD_BATCH:
            self.next_tidy = now + DELETE_OLD_EVERY


def _outgoing_message(delivery: Delivery, subscription: Subscription) -> OutgoingMessage:
    """Raises UnreadableSecret."""
    notice = delivery.notice
    return OutgoingMessage(
        delivery_id=delivery.pk,
        channel=delivery.channel,
        target=subscription.target,
        event=notice.event,
        execution_id=notice.execution_id,
        subject=notice.subject,
        text=notice.text,
        data=notice.data,
        secret=unseal(subscription.sealed_secret) if subscription.sealed_secret else "",
    )


def _about(delivery: Delivery) -> dict[str, str]:
    """What a log line is about."""
    return {"execution_id": str(delivery.notice.execution_id or ""), "delivery_id": str(delivery.pk)}


def _journal(delivery: Delivery, text: str) -> None:
    record(
        ENGINE,
        "notification.given_up",
        subject_kind="execution" if delivery.notice.execution_id else "subscription",
        subject_id=delivery.notice.execution_id or delivery.subscription_id or "",
        subject_name=delivery.notice.plan_name,
        outcome="GIVEN_UP",
        detail={"recipient": delivery.recipient, "event": delivery.notice.event, "text": text},
    )
