"""Several messages to one webhook: over one connection as long as that lasts, and each judged by itself."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from notify.channels import webhook
from notify.channels.batch import Batch
from tests.notify.certificate import make_certificate
from tests.notify.receivers import Receiver, http_receiver
from tests.notify.test_channels import outgoing


def batch_to(url: str, count: int = 6) -> Batch:
    """So many messages there, sent."""
    batch = Batch([outgoing(url) for _ in range(count)])
    batch.run(webhook.send, 30)
    return batch


@pytest.mark.parametrize(
    ("keeps", "lasts", "connections"), [(True, None, 1), (True, 2, 3), (False, None, 6)], ids=["kept", "closed", "old"]
)
def test_a_batch_takes_one_connection_as_long_as_that_lasts(
    here: None, keeps: bool, lasts: int | None, connections: int
) -> None:
    with http_receiver(keeps=keeps) as receiver:
        receiver.lasts = lasts
        batch = batch_to(receiver.url)
        told = [each.headers["x-drsorch-delivery"] for each in receiver.requests]
        assert told == [str(each.delivery_id) for each in batch.messages] == [str(each) for each in batch.sent]
        assert receiver.connections == connections
        webhook.send(outgoing(receiver.url))
        assert receiver.requests[-1].headers["connection"] == "close", "nothing is kept behind a batch"
        assert receiver.connections == connections + 1


def test_over_https_a_batch_shakes_hands_once(here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with http_receiver(context, keeps=True) as receiver:
        assert len(batch_to(receiver.url).sent) == 6
        assert receiver.connections == 1


def test_a_receiver_that_fails_or_hangs_in_a_batch_fails_that_message(
    here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "DEADLINE_SECONDS", 0.4)
    for unkind, words in ((lambda _: 500, "It answered 500"), (Receiver.hang, "No answer within")):
        with http_receiver(keeps=True) as receiver:
            receiver.answer = lambda request, of=receiver, do=unkind: (  # type: ignore[misc]
                204 if len(of.requests) < 3 else do(of, request) if do is Receiver.hang else do(request)
            )
            batch = batch_to(receiver.url)
            assert (len(batch.sent), len(receiver.requests), receiver.connections) == (2, 3, 1)
            assert batch.failure is not None
            assert words in str(batch.failure.error)


@pytest.mark.parametrize("rest", [b"x" * 1_000_000, b"drip"])
def test_what_follows_an_answer_is_not_waited_for(here: None, rest: bytes) -> None:
    """A body without end, and one that comes byte by byte."""
    stop, accepted = threading.Event(), list[socket.socket]()

    def serve(server: socket.socket) -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            accepted.append(connection)
            threading.Thread(target=answer, args=[connection], daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while connection.recv(65_536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
                for part in [rest[at : at + 1] for at in range(4)] if rest == b"drip" else [rest]:
                    connection.sendall(part)
                    time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        began = time.monotonic()
        batch = batch_to(f"http://127.0.0.1:{server.getsockname()[1]}/", 3)
        assert (len(batch.sent), len(accepted)) == (3, 3), "a new connection for each"
        assert time.monotonic() - began < 4
        stop.set()
