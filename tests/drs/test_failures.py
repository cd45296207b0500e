"""What a failed call was, over the wire: a TLS that was never agreed on sent nothing."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError

from drs.classify_errors import classify
from drs.errors import UNREADABLE, Effect, Trouble


@pytest.fixture
def plain_server() -> Iterator[str]:
    """Something that speaks no TLS at an address of https."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.field("A13")
def test_tls_that_fails_before_the_request_is_not_sent(plain_server: str) -> None:
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    client = boto3.client("drs", region_name="us-east-1", endpoint_url=plain_server, config=once)
    with pytest.raises(SSLError) as told:
        client.start_recovery(sourceServers=[{"sourceServerID": "s-3388ea18fa8e0739c"}])
    found = classify(told.value, region="us-east-1", operation="StartRecovery")
    assert (found.trouble, found.effect) == (Trouble.UNREACHABLE, Effect.REJECTED)


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("RequestTimeTooSkewed", Effect.REJECTED),  # the clock is set right, or the credentials renewed
        ("RequestThrottledException", Effect.REJECTED),
        ("NobodyKnowsThisException", Effect.FATAL),
    ],
)
def test_a_refusal_is_worth_another_try_where_time_may_heal_it(code: str, effect: Effect) -> None:
    answer: Any = {"Error": {"Code": code, "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    told = ClientError(answer, "StartRecovery")
    assert classify(told, region="us-east-1", operation="StartRecovery").effect is effect


def test_an_answer_that_cannot_be_read_is_uncertain_and_says_so() -> None:
    found = classify(KeyError("job"), region="us-east-1", operation="StartRecovery")
    assert (found.effect, found.code) == (Effect.UNCERTAIN, UNREADABLE)
    assert found.message.startswith("What AWS answered cannot be read")


def test_tls_that_breaks_later_is_uncertain() -> None:
    broken = SSLError(endpoint_url="https://drs", error=OSError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred"))
    assert classify(broken, region="us-east-1", operation="StartRecovery").effect is Effect.UNCERTAIN
