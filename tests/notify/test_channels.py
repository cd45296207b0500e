"""Each channel against a real peer: HTTP and SMTP servers of this machine, and moto's SNS, SQS and SES."""

import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
import uuid
from dataclasses import replace
from email import message_from_string
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from drsorch_site.configuration.mail import read_mail
from identity.provider.cognito import WrongSetting
from notify.channels import mail, signing, sns, webhook
from notify.channels.address_guard import ForbiddenAddress, check_literal, resolve
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.recipients import problem_of, shown
from notify.outbox import Message, put
from notify.states import Event
from tests.notify.certificate import make_certificate
from tests.notify.receivers import Receiver, http_receiver, smtp_receiver

RUN = uuid.UUID("7c1f0a9e-0000-4000-8000-000000000001")
ACCOUNT = "arn:aws:sns:us-east-1:123456789012"


def outgoing(target: str, channel: str = "WEBHOOK", **given: Any) -> OutgoingMessage:
    return OutgoingMessage(
        delivery_id=uuid.uuid4(),
        channel=channel,
        target=target,
        event="PAUSED",
        execution_id=RUN,
        subject=given.get("subject", "Drill of Zahlungen – täglich waits for you"),
        text="It waits.\nResume: https://dr.example.com/executions/1#resume",
        data={"event": "PAUSED", "planId": "p-1", "planName": "Zahlungen – täglich"},
        secret=given.get("secret", "whsec_x"),
    )


# Webhooks


def test_a_webhook_is_signed_over_time_and_body(receiver: Receiver) -> None:
    sent = outgoing(f"{receiver.url}?tenant=7")
    webhook.send(sent)
    (request,) = receiver.requests
    assert request.path == "/hook?tenant=7"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-drsorch-event"] == "PAUSED"
    assert request.headers["x-drsorch-delivery"] == str(sent.delivery_id)
    timestamp = request.headers["x-drsorch-timestamp"]
    assert abs(time.time() - int(timestamp)) < 30
    expected = hmac.new(b"whsec_x", timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-drsorch-signature"] == f"v1={expected}"
    said = {"type": "notification.paused", "version": 1, "text": sent.text}
    assert request.json == {"deliveryId": str(sent.delivery_id), **said, **sent.data}


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 500])
def test_nothing_but_success_is_success_and_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with http_receiver() as elsewhere:
        receiver.answer = lambda request: status
        receiver.headers = {"Location": elsewhere.url}
        with pytest.raises(DeliveryFailed, match=f"It answered {status}"):
            webhook.send(outgoing(receiver.url))
        assert elsewhere.requests == []


@pytest.mark.parametrize("drip", [b"", b"H", b"HTTP/1.1 200 OK\r\nX: "])
def test_no_receiver_can_put_the_end_off(here: None, monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    """It says nothing, or a byte now and then for ever."""
    monkeypatch.setattr(webhook, "DEADLINE_SECONDS", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.1):
                    try:
                        connection.sendall(drip)
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(DeliveryFailed, match="No answer within"):
            webhook.send(outgoing(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(5)


def test_a_dead_receiver_is_undelivered(here: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryFailed, match="ConnectionRefused"):
        webhook.send(outgoing(f"http://127.0.0.1:{port}/"))


def test_over_https_the_certificate_must_be_right(here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http_receiver(context) as receiver:
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            webhook.send(outgoing(receiver.url))
        assert receiver.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with override_settings(WEBHOOK_PLAIN=False):
            webhook.send(outgoing(receiver.url))
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            webhook.send(outgoing(receiver.url.replace("127.0.0.1", "localhost")))
        assert len(receiver.requests) == 1


def test_plain_http_is_refused(receiver: Receiver) -> None:
    with override_settings(WEBHOOK_PLAIN=False), pytest.raises(DeliveryFailed, match="Only https"):
        webhook.send(outgoing(receiver.url))
    assert receiver.requests == []


NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "fe80::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "168.63.129.16",
]
PRIVATE = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_is_never_reached_whatever_is_allowed(address: str) -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    with override_settings(WEBHOOK_NETWORKS=everything), pytest.raises(ForbiddenAddress):
        check_literal(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_reached_only_if_they_are_named(address: str) -> None:
    with pytest.raises(ForbiddenAddress, match="DRSORCH_WEBHOOK_NETWORKS"):
        check_literal(address)
    named = [ip_network(each) for each in ("127.0.0.0/8", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12")]
    named += [ip_network(each) for each in ("100.64.0.0/10", "::1/128", "fd12::/16")]
    with override_settings(WEBHOOK_NETWORKS=named):
        check_literal(address)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1"])
def test_a_name_or_an_odd_spelling_hides_no_address(host: str) -> None:
    check_literal(host)  # not known before it is looked up
    with pytest.raises(ForbiddenAddress):
        resolve(host, 443)


def test_a_forbidden_address_gets_no_connection() -> None:
    with http_receiver() as receiver:
        with override_settings(WEBHOOK_PLAIN=True), pytest.raises(DeliveryFailed, match="not a public address"):
            webhook.send(outgoing(receiver.url.replace("127.0.0.1", "localhost")))
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("channel", "target", "problem"),
    [
        ("WEBHOOK", "https://hooks.example.com/a?b=c", ""),
        ("WEBHOOK", "https://10.0.0.1/", "not a public address"),
        ("WEBHOOK", "https://[::ffff:169.254.169.254]/", "never allowed for webhooks"),
        ("WEBHOOK", "http://hooks.example.com/", "An https address"),
        ("WEBHOOK", "https://user:pass@hooks.example.com/", "without a password"),
        ("WEBHOOK", "https://hooks.example.com/#x", "without a #"),
        ("WEBHOOK", "https://hooks.example.com/\r\nX: y", "An https address"),
        ("WEBHOOK", "https://hooks.example.com:x/", "An https address"),
        ("WEBHOOK", "file:///etc/passwd", "An https address"),
        ("WEBHOOK", "https://" + "a" * 1100, "At most 1024"),
        ("WEBHOOK", "", "Say where"),
        ("SNS", f"{ACCOUNT}:recovery", ""),
        ("SNS", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:x.fifo", ""),
        ("SNS", "arn:aws:sqs:us-east-1:123456789012:x", "A topic's ARN"),
        ("EMAIL", "oncall@example.com", "sends no e-mail"),
    ],
)
def test_it_judges_targets(channel: str, target: str, problem: str) -> None:
    found = problem_of(channel, target)
    assert bool(found) == bool(problem)
    assert problem in found


def test_everybody_sees_only_the_host_of_a_webhook() -> None:
    assert shown("WEBHOOK", "https://hooks.example.com:8443/services/T0/secret") == "https://hooks.example.com:8443/…"


def test_signing_keys_are_kept_encrypted() -> None:
    secret = signing.new_secret()
    sealed = signing.seal(secret)
    assert secret not in sealed
    assert signing.unseal(sealed) == secret
    with (
        override_settings(SECRET_KEY="another-secret-key-of-the-installation", SECRET_KEY_FALLBACKS=[]),
        pytest.raises(signing.UnreadableSecret, match="create a new one for the subscription"),
    ):
        signing.unseal(sealed)
    fallback = [settings.SECRET_KEY]
    with override_settings(SECRET_KEY="another-secret-key-of-the-installation", SECRET_KEY_FALLBACKS=fallback):
        assert signing.unseal(sealed) == secret


# SNS and SES


@pytest.mark.parametrize("name", ["recovery", "recovery.fifo"])
def test_sns_gets_text_for_people_and_json_for_programs(at_aws: Any, name: str) -> None:
    topics, queues = at_aws("sns"), at_aws("sqs")
    fifo = name.endswith(".fifo")
    topic = topics.create_topic(Name=name, Attributes={"FifoTopic": "true"} if fifo else {})["TopicArn"]
    queue = queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if fifo else {})["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sent = outgoing(topic, "SNS", subject="x" * 300)
    sns.send(sent)
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    envelope = json.loads(message["Body"])
    assert json.loads(envelope["Message"]) == sent.body
    assert envelope["Subject"] == "x" * 100
    assert envelope["MessageAttributes"]["event"]["Value"] == "PAUSED"


def test_what_is_too_long_for_aws_is_told_without_its_longest_members() -> None:
    sent = outgoing(f"{ACCOUNT}:x", "SNS")
    servers = [f"s-{each:017x}" for each in range(4_000)]
    long = replace(sent, data={**sent.data, "servers": servers, "planName": '"' * 99})
    assert json.loads(sent.within(sns.BODY_MAX)) == sent.body
    told = json.loads(long.within(sns.BODY_MAX))
    assert told == {**{name: value for name, value in long.body.items() if name != "servers"}, "leftOut": ["servers"]}
    assert len(json.dumps(dict.fromkeys("12345", long.within(sns.BODY_MAX)))) < 256 * 1024
    assert json.loads(long.within(10))["deliveryId"] == str(long.delivery_id)


def test_sns_subjects_are_plain_ascii() -> None:
    assert sns._subject("Drill of Zahlungen – täglich\r\nX") == "Drill of Zahlungen ? t?glichX"
    assert sns._subject("\r\n") == "DRS Orchestration"


def test_a_topic_that_is_not_there_is_undelivered(at_aws: Any) -> None:
    with pytest.raises(DeliveryFailed, match="NotFound"):
        sns.send(outgoing(f"{ACCOUNT}:nowhere", "SNS"))


def test_ses_sends_mail(at_aws: Any) -> None:
    mails = at_aws("sesv2")
    mails.create_email_identity(EmailIdentity="drsorch@example.com")
    chosen = read_mail("ses")
    assert chosen is not None
    sent = outgoing("oncall@example.com", "EMAIL")
    with override_settings(MAIL=chosen, DEFAULT_FROM_EMAIL="drsorch@example.com", **chosen.settings):
        mail.send(sent)
    from moto.ses.models import ses_backends

    (kept,) = ses_backends["123456789012"]["us-east-1"].sent_messages
    assert (kept.source, set(kept.destinations)) == ("drsorch@example.com", {"oncall@example.com"})
    assert message_from_string(kept.raw_data)["Message-ID"] == f"<{sent.delivery_id}@127.0.0.1>"
    with (
        override_settings(MAIL=chosen, DEFAULT_FROM_EMAIL="stranger@example.org", **chosen.settings),
        pytest.raises(DeliveryFailed, match=r"MessageRejected|not verified"),
    ):
        mail.send(sent)


# SMTP


def test_smtp_sends_mail_that_programs_can_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    chosen = read_mail(f"smtp://127.0.0.1:{port}")
    assert chosen is not None
    mail_settings = {"MAIL": chosen, **chosen.settings, "DEFAULT_FROM_EMAIL": "drsorch@example.com"}
    sent = outgoing("oncall@example.com", "EMAIL")
    with override_settings(**mail_settings), smtp_receiver(port) as mailbox:
        assert problem_of("EMAIL", "oncall@example.com") == ""
        assert "One e-mail address" in problem_of("EMAIL", "a@example.com, b@example.com")
        mail.send(sent)
        mail.send(sent)
        first, second = mailbox.mails
        assert first["To"] == "oncall@example.com"
        assert first["From"] == "drsorch@example.com"
        assert first["Message-ID"] == second["Message-ID"] == f"<{sent.delivery_id}@127.0.0.1>"
        assert first["References"] == f"<run-{RUN}@127.0.0.1>"
        assert first["Auto-Submitted"] == "auto-generated"
        payload = first.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert "Resume: https://dr.example.com/executions/1#resume" in payload.decode()
        mailbox.full = True
        with pytest.raises(DeliveryFailed, match="mailbox full"):
            mail.send(sent)
    with override_settings(**mail_settings), pytest.raises(DeliveryFailed, match="ConnectionRefused"):
        mail.send(sent)
    with pytest.raises(DeliveryFailed, match="DRSORCH_MAIL"):
        mail.send(sent)


@pytest.mark.django_db
def test_text_cannot_become_a_header_of_a_mail() -> None:
    evil = "Drill\r\nBcc: stranger@example.org"
    notice = put(Event.PAUSED, [], Message(evil, "Text", {}), at=timezone.now())
    assert notice.subject == "Drill\\x0d\\x0aBcc: stranger@example.org"
    locmem = {"EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend", "MAIL": read_mail("ses")}
    with override_settings(**locmem), pytest.raises(DeliveryFailed, match="BadHeaderError"):
        mail.send(outgoing("oncall@example.com", "EMAIL", subject=evil))


def test_it_reads_how_mail_leaves() -> None:
    assert read_mail("") is None
    starttls = read_mail("smtp+starttls://us%40er:p%2Fw@mail.example.com")
    assert starttls is not None
    assert starttls.settings["EMAIL_PORT"] == 587
    assert (starttls.settings["EMAIL_USE_TLS"], starttls.settings["EMAIL_USE_SSL"]) == (True, False)
    assert (starttls.settings["EMAIL_HOST_USER"], starttls.password) == ("us@er", "p/w")
    smtps = read_mail("smtps://mail.example.com")
    assert smtps is not None
    assert (smtps.settings["EMAIL_PORT"], smtps.settings["EMAIL_USE_SSL"]) == (465, True)
    for wrong in ("mail.example.com", "http://x", "smtp://", "smtp://x/y", "smtp://x:port", "sess"):
        with pytest.raises(WrongSetting, match="DRSORCH_MAIL"):
            read_mail(wrong)
    with pytest.raises(WrongSetting, match="in the clear"):
        read_mail("smtp://user:hush@mail.example.com")
