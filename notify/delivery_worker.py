"""Sends what the outbox holds: beside the engine's beat, in threads, so that no receiver holds up a run.

What is next to a subscriber is claimed by one conditional UPDATE with a lease, so of two engines one sends it: a batch,
whose statements do not grow with it or with what waits behind it. A delivery is marked within a second after the
receiver has taken it; an engine that is killed before that leaves a delivery that is due again when its lease ends:
at least once, never lost.
"""

import logging
import threading
import uuid
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from django.db import Error as DatabaseTrouble
from django.db import connections, transaction
from django.db.models import Case, F, OuterRef, QuerySet, Subquery, UUIDField, Value, When

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import Clock, db_clock
from contract.database_errors import is_outage
from notify.channels import eventbridge, mail, sns, webhook
from notify.channels.batch import Batch, Failure, Send
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.signing import UnreadableSecret, unseal
from notify.folding import STATES, Bundle, Waiting, fold, naming
from notify.models import Delivery, Notice, Subscription
from notify.states import Channel, DeliveryStatus
from notify.stream.in_order import keep_order

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)  # longer than a batch may take, with its last attempt
BATCH = 100
BATCH_SECONDS = 5.0  # then others have their turn
GIVE_UP_AFTER = timedelta(days=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
KEEP_FOR = timedelta(days=90)
DELETE_OLD_EVERY = timedelta(hours=1)
DELETE_OLD_BATCH = 500
THREADS = 8
PAUSE_SECONDS = 1.0
LAST_WAIT_SECONDS = 15.0


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
        case Channel.EVENTBRIDGE:
            eventbridge.send(outgoing)
        case _:
            assert_never(channel)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: 10 s, 20 s, 40 s … up to an hour."""
    doublings = min(max(attempts, 1) - 1, 20)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


@dataclass(eq=False)
class Claimed:
    """Deliveries to one subscription that this process may send now, one thread after the other."""

    owner: uuid.UUID  # the subscription
    token: uuid.UUID
    deliveries: dict[uuid.UUID, Delivery]  # by id, those that are folded, too
    bundles: dict[uuid.UUID, Bundle]  # by the id of the delivery that is sent
    batch: Batch
    marked: int = 0  # how many of those sent are marked

    def with_folded(self, sent: Collection[uuid.UUID]) -> list[uuid.UUID]:
        """These and what they stand for."""
        return [pk for each in sent for pk in (each, *self.bundles[each].folded)]


class DeliveryWorker:
    """Lives as long as an engine; make it after the fork, it owns threads. They speak to receivers only, never to the
    database. `rounds` grows with each look, whatever came of it."""

    def __init__(self, clock: Clock = db_clock, send: Send = send) -> None:
        self.clock = clock
        self.send = send
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notify")
        self.under_way: dict[Future[None], Claimed] = {}
        self.in_trouble: set[uuid.UUID] = set()  # subscriptions whose last attempt failed: one message at a time
        self.next_tidy: datetime | None = None
        self.rounds = 0

    def once(self) -> None:
        """Mark what was sent, and begin to send what is due. Idle: one query."""
        self._collect()
        now = self.clock()
        if self._withdraw_orphans(now):
            for subscription in self._turns(now):
                self._begin(subscription, now)
        self._delete_old(now)

    def drain(self, max_wait: float = LAST_WAIT_SECONDS) -> None:
        """Wait for what is under way, and mark it."""
        if self.under_way:
            wait(self.under_way, timeout=max_wait)
            self._collect()

    def close(self) -> None:
        """End without waiting for receivers; what was begun is due again when its lease ends."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. Survives whatever the database or a receiver does."""
        while not stop.is_set():
            self._wait(stop)
            self.rounds += 1
            try:
                self.once()
            except Exception as error:  # the next round may do better; runs must never depend on this
                if is_outage(error):
                    log.exception("Notifications are waiting for the database")
                    connections.close_all()
                else:
                    log.exception("Sending notifications failed; retrying")
        for claimed in self.under_way.values():
            claimed.batch.stop.set()  # what it has not begun is for the next engine
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

    def _withdraw_orphans(self, now: datetime) -> bool:
        """Whether anything is due. What has lost its subscription is withdrawn when it has become the oldest."""
        oldest = Delivery.objects.filter(next_try_at__lte=now).order_by("next_try_at")
        for owner in oldest.values_list("subscription_id", flat=True)[:1]:
            # Asked by id: a subscription that was deleted in the same moment has left its id behind.
            if not Subscription.objects.filter(pk=owner).exists():
                due = Delivery.objects.filter(subscription_id=owner, next_try_at__lte=now)
                due.update(status=DeliveryStatus.WITHDRAWN, claim=None, next_try_at=None, ended_at=now)
            return True
        return False

    def _turns(self, now: datetime) -> list[Subscription]:
        """Whose turn it is, who waits longest first, as far as there are threads: a receiver that hangs keeps only its
        own waiting, and however much is due to one never hides another. To one subscriber one engine sends at a time,
        as two would not keep the order."""
        claimed = Delivery.objects.filter(claim__isnull=False, next_try_at__gt=now, next_try_at__lte=now + LEASE)
        busy = {*claimed.values_list("subscription_id", flat=True), *(each.owner for each in self.under_way.values())}
        due = Delivery.objects.filter(subscription=OuterRef("pk"), next_try_at__lte=now)
        since = Subquery(due.order_by("next_try_at").values("next_try_at")[:1])
        turns = Subscription.objects.annotate(since=since).filter(since__isnull=False).exclude(pk__in=busy)
        return list(turns.order_by("since")[: THREADS - len(self.under_way)])

    def _begin(self, subscription: Subscription, now: datetime) -> None:
        """Claim what is next to this subscription, and have a thread send it."""
        claimed = self._claim(subscription, self._next(subscription, now), now)
        if not claimed.bundles:
            return  # another engine was faster
        try:
            claimed.batch.messages = _messages(claimed, subscription)
        except UnreadableSecret as error:
            claimed.batch.failure = Failure(next(iter(claimed.bundles)), DeliveryFailed(str(error)))
            self._release(claimed, now)
        else:
            self.under_way[self.threads.submit(claimed.batch.run, self.send, BATCH_SECONDS)] = claimed

    def _next(self, subscription: Subscription, now: datetime) -> list[Bundle]:
        """What is sent next: the oldest first; when more waits than one batch takes, folded (`notify.folding`)."""
        keep_order(subscription, now)
        due = Delivery.objects.filter(subscription=subscription, next_try_at__lte=now)
        oldest_first = due.order_by("next_try_at", "created_at", "pk")
        queue = _waiting(oldest_first[: BATCH + 1])
        if len(queue) <= BATCH:
            bundles = [Bundle(each.pk) for each in queue]
        else:
            runs = {each.run for each in queue[:BATCH] if each.run}
            states = due.filter(notice__execution_id__in=runs, notice__event__in=STATES)
            bundles = fold(queue[:BATCH], _waiting(states))
        return bundles[:1] if subscription.pk in self.in_trouble else bundles

    def _claim(self, subscription: Subscription, bundles: Sequence[Bundle], now: datetime) -> Claimed:
        """As far as no other engine was faster."""
        token = uuid.uuid4()
        due = Delivery.objects.filter(status=DeliveryStatus.PENDING, next_try_at__lte=now)
        lease = {"claim": token, "next_try_at": now + LEASE}
        folded = [pk for each in bundles for pk in each.folded]
        with transaction.atomic():
            due.filter(pk__in=[each.sent for each in bundles]).update(**lease, tried_at=now, attempts=F("attempts") + 1)
            if folded:
                due.filter(pk__in=folded).update(**lease)
            found = Delivery.objects.filter(claim=token).select_related("notice")
            held = {each.pk: each for each in found}
        mine = [Bundle(each.sent, [pk for pk in each.folded if pk in held]) for each in bundles if each.sent in held]
        return Claimed(subscription.pk, token, held, {each.sent: each for each in mine}, Batch([]))

    def _collect(self) -> None:
        """Mark what the threads have sent until now, and give back what they left."""
        for future, claimed in list(self.under_way.items()):
            is_over = future.done()  # asked first: what is sent after this is for the next time
            self._mark_sent(claimed)
            if is_over:
                self._release(claimed, self.clock())
                del self.under_way[future]

    def _mark_sent(self, claimed: Claimed) -> None:
        sent = claimed.batch.sent[claimed.marked :]
        if not sent:
            return
        ids, stood_for = claimed.with_folded(sent), [claimed.bundles[pk] for pk in sent if claimed.bundles[pk].folded]
        into = [When(pk__in=each.folded, then=Value(each.sent, UUIDField())) for each in stood_for]
        told = {"folded_into": Case(*into, default=None)} if into else {}
        marked = self._held(claimed, ids).update(
            status=DeliveryStatus.DELIVERED, claim=None, next_try_at=None, ended_at=self.clock(), error="", **told
        )
        claimed.marked += len(sent)
        self.in_trouble.discard(claimed.owner)
        if marked < len(ids):  # too late, or the subscription was deleted or changed
            claimed.batch.stop.set()

    def _release(self, claimed: Claimed, now: datetime) -> None:
        """A batch is over: what failed is tried again later, what was not begun is due as before."""
        batch, done = claimed.batch, set(claimed.batch.sent)
        if batch.failure:
            self.in_trouble.add(claimed.owner)
            self._retry_or_give_up(claimed, batch.failure, now)
            done.add(batch.failure.delivery_id)
        left = [pk for pk in claimed.bundles if pk not in done]
        if left:
            due = {"claim": None, "next_try_at": F("created_at")}
            self._held(claimed, left).update(**due, attempts=F("attempts") - 1)
            self._held(claimed, claimed.with_folded(left)).update(**due)

    def _retry_or_give_up(self, claimed: Claimed, failure: Failure, now: datetime) -> None:
        """Try again later, or give up after a day and say so."""
        delivery, error = claimed.deliveries[failure.delivery_id], failure.error
        if not isinstance(error, DeliveryFailed):
            log.error("A notification could not be sent", exc_info=error)
        text = str(error) or type(error).__name__
        folded = self._held(claimed, claimed.bundles[delivery.pk].folded)
        if now - delivery.created_at >= GIVE_UP_AFTER:
            over = {"status": DeliveryStatus.GIVEN_UP, "claim": None, "next_try_at": None, "ended_at": now}
            with transaction.atomic():
                if self._held(claimed, [delivery.pk]).update(**over, error=text):
                    _journal(delivery, text)
                folded.update(claim=None, next_try_at=F("created_at"))  # each is tried, and given up, by itself
            say, what = log.error, "Giving up on notifying %s of “%s”: %s"
        else:
            later = now + backoff(delivery.attempts)
            self._held(claimed, [delivery.pk]).update(claim=None, next_try_at=later, error=text)
            folded.update(claim=None, next_try_at=later)
            say, what = log.warning, "Notifying %s of “%s” failed: %s"
        say(what, delivery.recipient, delivery.notice, text, extra=_about(delivery))

    def _held(self, claimed: Claimed, ids: Collection[uuid.UUID]) -> "QuerySet[Delivery]":
        return Delivery.objects.filter(pk__in=ids, claim=claimed.token)

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


def _waiting(deliveries: "QuerySet[Delivery]") -> list[Waiting]:
    told = deliveries.values_list("pk", "notice__execution_id", "notice__event", "notice__happened_at")
    return [Waiting(*each) for each in told]


def _messages(claimed: Claimed, subscription: Subscription) -> list[OutgoingMessage]:
    """In the order of sending. Raises UnreadableSecret."""
    secret = unseal(subscription.sealed_secret) if subscription.sealed_secret else ""
    return [
        naming(
            _outgoing_message(claimed.deliveries[each.sent], subscription, secret),
            [claimed.deliveries[pk] for pk in each.folded],
        )
        for each in claimed.bundles.values()
    ]


def _outgoing_message(delivery: Delivery, subscription: Subscription, secret: str) -> OutgoingMessage:
    notice = delivery.notice
    return OutgoingMessage(
        delivery_id=delivery.pk,
        channel=subscription.channel,
        target=subscription.target,
        event=notice.event,
        execution_id=notice.execution_id,
        subject=notice.subject,
        text=notice.text,
        data=notice.data,
        secret=secret,
        at=notice.happened_at,
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
