"""Very much waits for one subscriber: it is told quickly and in order, the newest of each run, and nothing is lost."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actor import SYSTEM
from contract.clock import db_clock
from notify import services
from notify.delivery_worker import BATCH, GIVE_UP_AFTER, LEASE, DeliveryWorker
from notify.models import Delivery, Notice, Subscription
from notify.states import Event
from tests.notify.conftest import Subscribe
from tests.notify.receivers import Receiver, Request
from tests.support.processes import eventually
from tests.support.threads import at_once
from tests.yardstick import is_quick

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]
Told = tuple[uuid.UUID | None, Event]


def wait_for(subscription: Subscription, told: Sequence[Told]) -> list[Delivery]:
    """So many notices, a second after the other, due to it."""
    began: datetime = db_clock() - timedelta(seconds=len(told))
    notices = [
        Notice(event=event, execution_id=run, subject=f"{event} {number}", text="Text", data={"number": number},
               happened_at=began + timedelta(seconds=number))
        for number, (run, event) in enumerate(told)
    ]  # fmt: skip
    Notice.objects.bulk_create(notices)
    return Delivery.objects.bulk_create(
        Delivery(notice=each, subscription=subscription, channel=subscription.channel, recipient="it",
                 created_at=each.happened_at, next_try_at=each.happened_at)
        for each in notices
    )  # fmt: skip


def of_many_runs(count: int) -> list[Told]:
    return [(uuid.uuid4(), Event.STARTED) for _ in range(count)]


def send_all(worker: DeliveryWorker, while_any: Callable[[], bool]) -> None:
    while while_any():
        worker.once()
        worker.drain(20)


def is_due() -> bool:
    return Delivery.objects.filter(next_try_at__lte=db_clock()).exists()


def subjects(receiver: Receiver) -> list[int]:
    return [each.json["number"] for each in receiver.requests]


def test_a_thousand_arrive_in_order_within_seconds(receiver: Receiver, subscribe: Subscribe) -> None:
    """Ten thousand may take three minutes: 18 ms each. This asks for 18 s of a thousand on a busy machine."""
    wait_for(subscribe(receiver.url).subscription, of_many_runs(1_000))
    stop, worker = threading.Event(), DeliveryWorker()
    thread = threading.Thread(target=worker.run, args=[stop])
    began = time.monotonic()
    thread.start()
    try:
        eventually(lambda: len(receiver.requests) == 1_000, 60, what="a thousand notifications")
        took = time.monotonic() - began
    finally:
        stop.set()
        thread.join(20)
    assert is_quick(took, 18, time.monotonic)
    assert subjects(receiver) == list(range(1_000))
    assert Delivery.objects.filter(status="DELIVERED", attempts=1, claim=None).count() == 1_000


def test_a_batch_costs_as_many_statements_however_much_waits(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    subscription = subscribe(receiver.url).subscription
    costs = []
    for waiting in (BATCH + 20, BATCH * 10):
        Delivery.objects.all().delete()
        runs = of_many_runs(waiting // 2)
        wait_for(subscription, [(run, event) for run, _ in runs for event in (Event.STARTED, Event.PAUSED)])
        with CaptureQueriesContext(connection) as queries:
            worker.once()
            worker.drain(20)
        costs.append([each["sql"].split()[0] for each in queries if "SAVEPOINT" not in each["sql"]])
    assert costs[0] == costs[1]
    assert len(costs[0]) <= 18, costs[0]


def test_the_newest_of_each_run_names_the_older_ones(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    waits, failed, over = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    told: list[Told] = [
        (waits, Event.STARTED), (failed, Event.STARTED), (over, Event.STARTED), (over, Event.PAUSED),
        (failed, Event.TIMED_OUT), (over, Event.RESUMED), (failed, Event.FAILED), (failed, Event.LATE),
        (over, Event.FINISHED), (over, Event.LEASE), *of_many_runs(BATCH), (waits, Event.PAUSED),
    ]  # fmt: skip
    rows = wait_for(subscribe(receiver.url).subscription, told)
    send_all(worker, is_due)
    got = {each.json["number"]: each.json for each in receiver.requests}
    assert list(got)[:6] == [110, 6, 8, 4, 7, 9]  # the newest states first; failures and what runs on by themselves
    assert len(got) == len(told) - 5
    assert [each["event"] for each in got[110]["folded"]] == ["STARTED"]
    assert [each["event"] for each in got[6]["folded"]] == ["STARTED"]
    assert [each["event"] for each in got[8]["folded"]] == ["RESUMED", "PAUSED", "STARTED"]
    assert got[8]["folded"][1]["deliveryId"] == str(rows[3].pk)
    assert "folded" not in got[4]
    told_by = dict(Delivery.objects.exclude(folded_into=None).values_list("pk", "folded_into"))
    assert told_by == {rows[0].pk: rows[110].pk, rows[1].pk: rows[6].pk, **{rows[n].pk: rows[8].pk for n in (2, 3, 5)}}
    assert set(Delivery.objects.values_list("status", flat=True)) == {"DELIVERED"}


def test_few_are_told_one_by_one(receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker) -> None:
    run = uuid.uuid4()
    wait_for(subscribe(receiver.url).subscription, [(run, Event.STARTED), (run, Event.PAUSED), (run, Event.RESUMED)])
    send_all(worker, is_due)
    assert subjects(receiver) == [0, 1, 2]
    assert not any("folded" in each.json for each in receiver.requests)


def test_what_a_failed_message_stood_for_is_told_with_its_repetition(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    run = uuid.uuid4()
    rows = wait_for(
        subscribe(receiver.url).subscription, [(run, Event.STARTED), *of_many_runs(BATCH), (run, Event.PAUSED)]
    )
    receiver.answer = lambda request: 500
    for _ in range(2):
        worker.once()
        worker.drain(20)
    assert len(receiver.requests) == 2  # one message at a time while nothing gets through
    assert not Delivery.objects.exclude(status="PENDING", claim=None).exists()
    receiver.answer = lambda request: 204
    worker.clock = lambda: db_clock() + timedelta(seconds=30)
    send_all(worker, Delivery.objects.filter(status="PENDING").exists)
    delivered = [each.json["deliveryId"] for each in receiver.requests[2:]]
    assert len(delivered) == len(set(delivered))
    folded = {str(pk) for pk in Delivery.objects.exclude(folded_into=None).values_list("pk", flat=True)}
    assert {*delivered, *folded} == {str(each.pk) for each in rows}
    assert set(Delivery.objects.values_list("status", flat=True)) == {"DELIVERED"}


def test_giving_up_one_gives_up_nothing_that_it_stood_for(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    run = uuid.uuid4()
    rows = wait_for(
        subscribe(receiver.url).subscription, [(run, Event.STARTED), *of_many_runs(BATCH), (run, Event.PAUSED)]
    )
    receiver.answer = lambda request: 500
    worker.clock = lambda: db_clock() + GIVE_UP_AFTER
    worker.once()
    worker.drain(20)
    status = dict(Delivery.objects.filter(pk__in=[rows[0].pk, rows[-1].pk]).values_list("pk", "status"))
    assert status == {rows[-1].pk: "GIVEN_UP", rows[0].pk: "PENDING"}


@pytest.mark.parametrize("change", ["deleted", "moved"])
def test_a_batch_stops_when_its_subscription_is_not_what_it_was(
    change: str, receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    subscription = subscribe(receiver.url).subscription
    wait_for(subscription, of_many_runs(BATCH))

    def slowly(request: Request) -> int:
        time.sleep(0.02)
        return 204

    receiver.answer = slowly
    worker.once()
    eventually(lambda: len(receiver.requests) > 1, what="the first of them")  # so one is answered
    if change == "deleted":
        services.delete(actor=SYSTEM, subscription_id=subscription.pk)
    else:
        wanted = services.Wanted(
            subscription.name, channel="WEBHOOK", target=receiver.url + "/new", plan_id=None, events=["STARTED"]
        )
        services.update(actor=SYSTEM, subscription_id=subscription.pk, wanted=wanted)
    worker.once()
    worker.drain(20)
    assert len([each for each in receiver.requests if each.path == "/hook"]) < BATCH
    if change == "moved":
        receiver.answer = lambda request: 204
        send_all(worker, is_due)
        assert not Delivery.objects.exclude(status="DELIVERED").exists()
        assert receiver.requests[-1].path == "/hook/new"
    else:
        assert not Delivery.objects.filter(status="PENDING").exists()


def test_engines_share_a_queue_without_sending_twice(receiver: Receiver, subscribe: Subscribe) -> None:
    wait_for(subscribe(receiver.url).subscription, of_many_runs(250))

    def work() -> None:
        worker = DeliveryWorker()
        for _ in range(20):
            worker.once()
            worker.drain(20)
            time.sleep(0.05)
        worker.close()

    at_once([work, work])
    assert sorted(subjects(receiver)) == list(range(250))


def test_a_killed_engine_keeps_its_batch_for_a_lease(receiver: Receiver, subscribe: Subscribe) -> None:
    """Nobody sends beside an engine that may be alive; after its lease all of it is told, what it had sent again."""
    wait_for(subscribe(receiver.url).subscription, of_many_runs(3))
    killed = DeliveryWorker()
    killed.once()
    eventually(lambda: len(receiver.requests) == 3, what="its batch")
    other = DeliveryWorker()
    other.once()
    assert not other.under_way
    other.clock = lambda: db_clock() + LEASE
    other.once()
    other.drain(20)
    assert subjects(receiver) == [0, 1, 2, 0, 1, 2]
    assert set(Delivery.objects.values_list("status", "attempts")) == {("DELIVERED", 2)}
    for each in (killed, other):
        each.close()
