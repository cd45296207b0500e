"""At least once, never lost, and nobody waits for a receiver: the outbox and those who empty it."""

import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import db_clock
from notify import services
from notify.delivery_worker import GIVE_UP_AFTER, KEEP_FOR, LEASE, DeliveryWorker, backoff
from notify.models import Delivery, Notice, Subscription
from notify.outbox import Message, publish, put
from notify.states import DeliveryStatus, Event
from tests.notify.conftest import Subscribe
from tests.notify.receivers import Receiver, http_receiver
from tests.support.processes import eventually, running_engine
from tests.support.stage import Stage
from tests.support.threads import at_once

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]
ENGINE = {"DJANGO_DEBUG": "true", "DRSORCH_WEBHOOK_NETWORKS": "127.0.0.0/8", "DRSORCH_WORKERS": "1"}


def notice(*to: Subscription, subject: str = "It waits") -> Notice:
    return put(Event.PAUSED, to, Message(subject, "Text", {"event": "PAUSED", "subject": subject}), at=db_clock())


def fate(of: Notice) -> list[tuple[str, int]]:
    return list(of.deliveries.order_by("recipient").values_list("status", "attempts"))


def send(worker: DeliveryWorker) -> None:
    worker.once()
    worker.drain(15)


def at(worker: DeliveryWorker, later: timedelta) -> None:
    worker.clock = lambda: db_clock() + later


def test_it_delivers_once_and_marks_it(receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker) -> None:
    told = notice(subscribe(receiver.url).subscription)
    for _ in range(3):
        send(worker)
    assert fate(told) == [("DELIVERED", 1)]
    (request,) = receiver.requests
    delivery = told.deliveries.get()
    body = {"type": "notification.paused", "version": 1, "text": "Text", "event": "PAUSED", "subject": "It waits"}
    assert request.json == {"deliveryId": str(delivery.pk), **body}
    assert delivery.ended_at is not None
    assert delivery.next_try_at is None


def test_nothing_is_told_of_what_did_not_happen(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    subscription = subscribe(receiver.url).subscription
    with pytest.raises(RuntimeError, match="committed with"):
        publish(
            Event.STARTED, plan_id=None, plan_name="", execution_id=subscription.pk, at=db_clock(),
            write=lambda: Message("", "", {}),
        )  # fmt: skip
    with transaction.atomic():
        notice(subscription)
        transaction.set_rollback(True)
    send(worker)
    assert receiver.requests == []
    assert not Delivery.objects.exists()


def test_it_tries_again_ever_later_and_gives_up_after_a_day(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    receiver.answer = lambda request: 500
    told = notice(subscribe(receiver.url).subscription)
    send(worker)
    delivery = told.deliveries.get()
    assert (delivery.status, delivery.attempts, delivery.error) == ("PENDING", 1, "It answered 500.")
    assert delivery.next_try_at is not None
    assert delivery.tried_at is not None
    assert timedelta(seconds=9) < delivery.next_try_at - delivery.tried_at < timedelta(seconds=15)
    send(worker)
    assert len(receiver.requests) == 1  # not before its time
    at(worker, timedelta(seconds=20))
    send(worker)
    assert fate(told) == [("PENDING", 2)]
    assert [backoff(n).total_seconds() for n in (0, 1, 2, 3, 9, 10, 99)] == [10, 10, 20, 40, 2560, 3600, 3600]
    at(worker, GIVE_UP_AFTER)
    send(worker)
    assert fate(told) == [("GIVEN_UP", 3)]
    entry = AuditEntry.objects.get(verb="notification.given_up")
    assert entry.detail["text"] == "It answered 500."
    at(worker, GIVE_UP_AFTER * 2)
    send(worker)
    assert len(receiver.requests) == 3
    assert {each.json["deliveryId"] for each in receiver.requests} == {str(delivery.pk)}


def test_it_arrives_when_the_receiver_is_back(receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker) -> None:
    receiver.answer = lambda request: None
    told = notice(subscribe(receiver.url).subscription)
    send(worker)
    receiver.answer = lambda request: 200
    at(worker, timedelta(minutes=5))
    send(worker)
    assert fate(told) == [("DELIVERED", 2)]
    assert told.deliveries.get().error == ""


def test_of_engines_at_once_one_sends(receiver: Receiver, subscribe: Subscribe) -> None:
    notices = [notice(subscribe(receiver.url, f"Number {n}").subscription, subject=str(n)) for n in range(6)]

    def work() -> None:
        worker = DeliveryWorker()
        for _ in range(4):
            send(worker)
        worker.close()

    at_once([work, work, work])
    assert sorted(each.json["subject"] for each in receiver.requests) == [str(n) for n in range(6)]
    assert [fate(each) for each in notices] == [[("DELIVERED", 1)]] * 6


def test_a_receiver_that_hangs_keeps_only_its_own_waiting(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    with http_receiver() as hanging:
        hanging.answer = hanging.hang
        slow = subscribe(hanging.url, "Slow").subscription
        quick = subscribe(receiver.url, "Quick").subscription
        for number in range(20):  # more than there are threads
            notice(slow, subject=str(number))
        for number in range(3):
            notice(quick, subject=str(number))
        for _ in range(5):
            worker.once()
            time.sleep(0.1)
        assert len(receiver.requests) == 3
        assert len(hanging.requests) == 1
        hanging.release.set()


def due(subscription: Subscription, count: int) -> None:
    """So many deliveries to it, due before anything else."""
    first = notice(subscription).deliveries.get()
    notices = [
        Notice(event=Event.PAUSED, subject=str(n), text="", data={}, happened_at=db_clock()) for n in range(count)
    ]
    Notice.objects.bulk_create(notices)
    Delivery.objects.bulk_create(
        Delivery(
            notice=each, subscription=subscription, channel=first.channel, recipient=first.recipient,
            created_at=db_clock(), next_try_at=db_clock() - timedelta(hours=1),
        )
        for each in notices
    )  # fmt: skip


def test_hundreds_due_to_one_do_not_hide_another(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    with http_receiver() as failing:
        failing.answer = lambda request: 500
        due(subscribe(failing.url, "Failing").subscription, 400)
        notice(subscribe(receiver.url, "Pager").subscription, subject="PAUSED")
        send(worker)
        assert [each.json["subject"] for each in receiver.requests] == ["PAUSED"]
        assert len(failing.requests) == 1


def test_a_sender_that_is_too_late_marks_nothing(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    """Its lease has ended and another has sent it again: at least once, and one mark."""
    told = notice(subscribe(receiver.url).subscription)
    worker.once()
    other = DeliveryWorker(clock=lambda: db_clock() + LEASE + timedelta(seconds=1))
    send(other)
    other.close()
    before = told.deliveries.get().ended_at
    worker.drain()
    delivery = told.deliveries.get()
    assert (delivery.status, delivery.attempts, delivery.ended_at) == ("DELIVERED", 2, before)
    assert len(receiver.requests) == 2


def test_what_waits_goes_with_its_subscription(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    gone, stays = (subscribe(receiver.url, name).subscription for name in ("Gone", "Stays"))
    told = notice(gone, stays)
    services.delete(actor=SYSTEM, subscription_id=gone.pk)
    orphan = notice(stays)
    Delivery.objects.filter(notice=orphan).update(subscription=gone.pk)  # as in a race with the deletion
    send(worker)
    send(worker)
    assert sorted(fate(told)) == [("DELIVERED", 1), ("WITHDRAWN", 0)]
    assert [status for status, _ in fate(orphan)] == ["WITHDRAWN"]


def test_old_notices_are_forgotten_but_not_what_waits(subscribe: Subscribe, worker: DeliveryWorker, here: None) -> None:
    subscription = subscribe("http://127.0.0.1:9/").subscription
    over, waiting, fresh = (notice(subscription, subject=each) for each in ("over", "waiting", "fresh"))
    far = timezone.now() + timedelta(days=365)
    Delivery.objects.update(next_try_at=far)
    Notice.objects.exclude(pk=fresh.pk).update(happened_at=timezone.now() - KEEP_FOR - timedelta(hours=1))
    Delivery.objects.filter(notice=over).update(
        status=DeliveryStatus.DELIVERED, next_try_at=None, ended_at=timezone.now()
    )
    worker.once()
    at(worker, timedelta(hours=2))
    worker.once()
    assert set(Notice.objects.values_list("subject", flat=True)) == {"waiting", "fresh"}
    assert waiting.deliveries.count() == 1


@pytest.mark.postgresql
@pytest.mark.slow
def test_runs_go_on_while_a_receiver_hangs_and_a_killed_engine_loses_nothing(
    stage: Stage, receiver: Receiver, subscribe: Subscribe
) -> None:
    """The request has arrived, and the engine dies before it can note that: the next one sends it again."""
    stage.simulator.set_speed(300)
    receiver.answer = receiver.hang
    subscribe(receiver.url)
    with running_engine(**ENGINE) as engine:
        run = stage.start(stage.plan("app-01", "web-01"))
        eventually(lambda: bool(receiver.requests), what="the first notification")
        eventually(lambda: stage.fresh(run).status == "COMPLETED", 40, what="the end of the run")
        eventually(Delivery.objects.exclude(claim=None).exists, what="a request under way")
        engine.kill_tree()
    assert [each.status for each in Delivery.objects.all()] == ["PENDING", "PENDING"]
    sent = len(receiver.requests)
    Delivery.objects.update(next_try_at=db_clock())  # the killed engine's lease ends now, instead of in a minute
    receiver.answer = lambda request: 204
    receiver.release.set()
    with running_engine(**ENGINE) as engine:
        eventually(lambda: Delivery.objects.filter(status="DELIVERED").count() == 2, what="the deliveries")
        assert engine.stop() == 0
    assert len(stage.launches()) == 2
    assert sorted(each.json["event"] for each in receiver.requests[sent:]) == ["FINISHED", "STARTED"]
    assert len({each.json["deliveryId"] for each in receiver.requests}) == 2
