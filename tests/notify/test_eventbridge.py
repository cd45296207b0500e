"""EventBridge as a channel: moto's bus, and one that refuses single entries as AWS does."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from audit.actor import SYSTEM
from notify import services
from notify.channels import eventbridge
from notify.channels.batch import Batch
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.recipients import problem_of, region_of_bus
from notify.delivery_worker import DeliveryWorker, send
from notify.models import Delivery
from tests.notify.conftest import Subscribe

Entry = dict[str, Any]
ARN = "arn:aws:events:eu-west-1:123456789012:event-bus/drsorch-ops"


def outgoing(bus: str, number: int = 0, size: int = 10) -> OutgoingMessage:
    return OutgoingMessage(
        delivery_id=uuid.uuid4(), channel="EVENTBRIDGE", target=bus, event="STREAM", execution_id=None, subject="x",
        text="x", data={"event": "STREAM", "type": "wave.started", "version": 1, "number": number, "data": "x" * size},
        at=datetime(2026, 11, 29, tzinfo=UTC),
    )  # fmt: skip


class Bus:
    """PutEvents as it answers; `code_of` says which entries it refuses."""

    def __init__(self) -> None:
        self.calls: list[list[Entry]] = []
        self.code_of: Callable[[Entry], str] = lambda entry: ""

    def numbers(self) -> list[list[int]]:
        return [[json.loads(each["Detail"])["number"] for each in call] for call in self.calls]

    def answer(self, entries: list[Entry]) -> Entry:
        self.calls.append(entries)
        codes = [self.code_of(each) for each in entries]
        told = [{"ErrorCode": code, "ErrorMessage": "Try again"} if code else {"EventId": "1"} for code in codes]
        return {"FailedEntryCount": sum(map(bool, codes)), "Entries": told}


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    made = Bus()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            entries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Entries"]
            body = json.dumps(made.answer(entries)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", f"http://127.0.0.1:{server.server_port}")
    eventbridge._build.cache_clear()
    yield made
    eventbridge._build.cache_clear()
    server.shutdown()
    server.server_close()


def test_a_rule_gets_them_in_order_with_source_and_type(at_aws: Any) -> None:
    events, queues = at_aws("events"), at_aws("sqs")
    events.create_event_bus(Name="drsorch-told")
    queue = queues.create_queue(QueueName="told")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["drsorch"], "detail-type": ["wave.started"]}
    events.put_rule(Name="all", EventBusName="drsorch-told", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", EventBusName="drsorch-told", Targets=[{"Id": "1", "Arn": arn}])
    sent = [outgoing("drsorch-told", number) for number in range(3)]
    batch = Batch(sent)
    batch.run(send, 10)
    assert (batch.sent, batch.failure) == ([each.delivery_id for each in sent], None)
    got = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    told = [json.loads(each["Body"]) for each in got]
    assert [each["detail"] for each in told] == [each.body for each in sent]
    assert (told[0]["source"], told[0]["detail-type"]) == ("drsorch", "wave.started")
    with pytest.raises(DeliveryFailed, match=r"There is no event bus “drsorch-none” in us-east-1\. Make it"):
        send(outgoing("drsorch-none"))


def test_no_request_holds_more_than_aws_takes(bus: Bus) -> None:
    Batch([outgoing("default", number) for number in range(23)]).run(send, 10)
    assert [len(each) for each in bus.calls] == [10, 10, 3]
    assert [number for call in bus.numbers() for number in call] == [*range(23)]
    bus.calls.clear()
    large = [outgoing("default", number, 100_000) for number in range(5)]
    Batch(large).run(send, 10)
    assert [len(each) for each in bus.calls] == [2, 2, 1]
    for call in bus.calls:
        assert sum(eventbridge.size_of(each) for each in call) <= 262_144


def test_what_was_not_taken_is_sent_again_alone_and_in_order(bus: Bus) -> None:
    refused = {3: 1, 6: 2}  # how often yet

    def code_of(entry: Entry) -> str:
        number = json.loads(entry["Detail"])["number"]
        refused[number] = refused.get(number, 0) - 1
        return "ThrottlingException" if refused[number] >= 0 else ""

    bus.code_of = code_of
    sent = [outgoing("default", number) for number in range(12)]
    batch = Batch(sent)
    batch.run(send, 10)
    assert bus.numbers() == [[*range(10)], [3], [6]]  # what has not been begun is for the next time
    assert batch.failure is not None
    assert batch.failure.delivery_id == sent[6].delivery_id
    assert str(batch.failure.error) == "ThrottlingException: Try again"
    assert set(batch.sent) == {each.delivery_id for each in sent[:10]} - {sent[6].delivery_id}


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_told_in_plain_words_at_the_delivery(
    bus: Bus, subscribe: Subscribe, worker: DeliveryWorker
) -> None:
    made = subscribe("drsorch-ops", channel="EVENTBRIDGE").subscription
    bus.code_of = lambda entry: "AccessDeniedException"
    services.send_test(actor=SYSTEM, subscription_id=made.pk)
    worker.once()
    worker.drain()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.recipient) == ("PENDING", "drsorch-ops")
    assert delivery.error.startswith("AWS does not let the engine put events on “drsorch-ops”. Its role needs")
    ((entry,),) = bus.calls
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (
        "drsorch",
        "notification.test",
        "drsorch-ops",
    )


def test_a_bus_is_named_or_given_by_its_arn() -> None:
    for good in ("default", "drsorch-ops", ARN):
        assert problem_of("EVENTBRIDGE", good) == ""
    for bad in ("a bus", "aws.partner/x", ARN.replace("event-bus/", ""), ARN.replace("events", "sns"), "x" * 300):
        assert problem_of("EVENTBRIDGE", bad).startswith("The name of an event bus"), bad
    assert (region_of_bus(ARN), region_of_bus("default")) == ("eu-west-1", "us-east-1")
