"""Subscribers to the stream get each event once, in its order, the very object that `GET /events` has."""

import uuid
from datetime import timedelta

import pytest

from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry
from audit.reading.sentences import sentence
from audit.sealing import seal
from contract.clock import db_clock
from executions.models import PlanReadiness
from executions.readiness import stored_verdicts
from notify.delivery_worker import DeliveryWorker
from notify.models import Delivery, StreamMark, Subscription
from notify.states import Event
from notify.stream import telling
from tests.audit import event_schema
from tests.notify.conftest import Subscribe
from tests.notify.receivers import Receiver
from tests.support.api_client import Api, answer
from tests.support.stage import Stage

STREAM = [Event.STREAM.value]


def tell() -> int:
    seal()
    return telling.tell(db_clock(), lambda _: {})


def happen(verb: str, **detail: object) -> None:
    record(SYSTEM, verb, subject_kind="execution", subject_id=uuid.uuid4(), subject_name="ERP", detail=detail)


def test_a_run_is_told_event_by_event_as_the_stream_has_it(
    stage: Stage, receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker, admin: Api
) -> None:
    plan, other = stage.plan("app-01", name="ERP"), stage.plan("web-01", name="Shop")
    subscribe(receiver.url, events=STREAM, plan_id=plan.pk)
    stage.look()
    after = answer(admin.get("/events?limit=1&after=0"))["next"]
    run = stage.start(plan)
    stage.start(other)
    stage.until(run, "COMPLETED")
    for _ in range(3):  # it is told after it was sealed
        stage.advance(10)
        stage.look()
    worker.clock = stage.clock
    worker.once()
    worker.drain()
    got = [each.json for each in receiver.requests]
    listed = answer(admin.get(f"/events?after={after}&limit=100"))["items"]
    mine = [each for each in listed if each["subject"]["id"] == str(run.pk)]
    own = ("deliveryId", "event", "text")
    assert [{name: value for name, value in each.items() if name not in own} for each in got] == mine
    assert {each["event"] for each in got} == {"STREAM"}
    assert event_schema.faults(listed + got) == []
    told = [each["type"] for each in got]
    for one, two in zip(
        ("execution.start", "wave.started", "launch.sent", "wave.completed"),
        ("wave.started", "launch.sent", "wave.completed", "execution.ended"),
        strict=True,
    ):
        assert told.index(one) < told.index(two), told


@pytest.mark.both
@pytest.mark.django_db(transaction=True)
def test_each_event_is_told_once_and_none_of_before(subscribe: Subscribe) -> None:
    happen("execution.stalled", since=1)
    assert tell() == 0  # whoever comes later is told from then on
    subscribe("arn:aws:sns:us-east-1:123456789012:drsorch-a", channel="SNS", events=STREAM)
    tell()
    known = Delivery.objects.count()
    happen("gate.reminded", wave=1)
    happen("notification.given_up", recipient="x", event="STREAM", text="no")  # that would go on for ever
    happen("launch.news", launches={"s-1": "x" * telling.DATA_MAX})
    tell()
    assert (tell(), tell()) == (0, 0)
    new = list(Delivery.objects.order_by("created_at", "pk").select_related("notice"))[known:]
    told = {each.notice.data["type"]: each.notice.data for each in new}
    assert set(told) == {"gate.reminded", "launch.news"}
    assert (told["gate.reminded"]["data"], told["launch.news"]["data"]) == ({"wave": 1}, {"leftOut": True})
    mark = StreamMark.objects.get()
    StreamMark.objects.update(number=mark.number + 5)  # another engine has told of more meanwhile
    assert tell() == 0
    assert Delivery.objects.count() == known + 2


@pytest.mark.both
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dies", [False, True], ids=["receiver fails", "engine dies"])
def test_the_events_of_a_run_come_in_their_order_whatever_failed(
    receiver: Receiver, subscribe: Subscribe, worker: DeliveryWorker, dies: bool
) -> None:
    """What waits to be tried again, and what happens meanwhile, comes after it; other runs wait for nothing."""
    happen("gate.reminded", wave=1)
    tell()
    subscribe(receiver.url, events=STREAM)
    tell()
    one, two = uuid.uuid4(), uuid.uuid4()

    def tell_of(run: uuid.UUID, *verbs: str) -> None:
        for verb in verbs:
            record(SYSTEM, verb, subject_kind="execution", subject_id=run, subject_name="ERP")
        assert tell() == len(verbs)

    def look(seconds: int) -> None:
        worker.clock = lambda: db_clock() + timedelta(seconds=seconds)
        for _ in range(4):
            worker.once()
            worker.drain()

    def came() -> list[str]:
        return [each.json["type"] for each in receiver.requests if each.json["subject"]["id"] == str(one)]

    tell_of(one, "execution.start", "wave.started", "wave.completed")
    if dies:  # it had begun with them, and nothing is known of them for a minute
        subscription, now = Subscription.objects.get(), worker.clock()
        held = worker._claim(subscription, worker._next(subscription, now), now)
        assert len(held.bundles) == 1 + 3  # the first is that somebody subscribed
    else:
        receiver.answer = lambda request: 500 if "execution.start" in request.body.decode() else 204
        look(0)
    tell_of(one, "execution.ended")
    tell_of(two, "execution.start")
    if not dies:
        receiver.answer = lambda request: 500 if str(one) in request.body.decode() else 204
        look(5)
        assert [each.json["subject"]["id"] for each in receiver.requests][-1] == str(two)
        assert set(came()) == {"execution.start"}
        receiver.answer, receiver.requests = (lambda request: 204), []
    look(70)
    assert came() == ["execution.start", "wave.started", "wave.completed", "execution.ended"]


@pytest.mark.both
def test_a_change_of_readiness_and_an_overdue_drill_are_events_once(stage: Stage) -> None:
    plan = stage.plan("app-01", name="ERP")
    stage.until(stage.start(plan), "COMPLETED")

    def weigh(later: timedelta) -> list[tuple[str, str]]:
        stored_verdicts.refresh(stage.clock() + later)
        found = AuditEntry.objects.filter(subject_id=str(plan.pk), verb__in=["readiness.changed", "drill.overdue"])
        assert event_schema.faults_of(found) == []
        words = {"readiness.changed": "Its readiness changed from ", "drill.overdue": "A drill is overdue: "}
        assert all(sentence(each).startswith(words[each.verb]) for each in found)
        return [(each.verb, each.detail.get("verdict", "")) for each in found.order_by("pk")]

    assert weigh(timedelta()) == []  # the first verdict is no change
    before = PlanReadiness.objects.get().verdict
    PlanReadiness.objects.update(verdict="READY")
    assert weigh(timedelta(minutes=3)) == [("readiness.changed", before)]
    overdue = [("readiness.changed", before), ("drill.overdue", "")]
    assert weigh(timedelta(days=91))[:2] in (overdue, [("readiness.changed", before), ("readiness.changed", "UNKNOWN")])
    told = weigh(timedelta(days=92))
    assert weigh(timedelta(days=93)) == told
    assert [each for each in told if each[0] == "drill.overdue"] == [("drill.overdue", "")]
