"""Webhooks: a signed POST over https, to an address that was checked, with an end that no receiver can put off."""

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from django.conf import settings

from notify.channels.address_guard import ForbiddenAddress, resolve
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.signing import signature

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
REST_SECONDS, REST_PARTS, MOST_REST = 0.3, 3, 16_384  # what follows the head of an answer, each part and its bytes
DEADLINE_SECONDS = 10.0  # for everything after the name was looked up, however slowly the receiver drips


class _PinnedConnection(HTTPConnection):
    """Connects to the very address that was checked, and can be cut off by another thread."""

    cut_off = False

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        super().__init__(host, port)
        self.tls = tls

    def connect(self) -> None:
        address = resolve(self.host, self.port)
        self.sock = socket.create_connection((address, self.port), CONNECT_SECONDS)
        self.sock.settimeout(READ_SECONDS)
        if self.tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def is_good_for(self, url: str) -> bool:
        """Whether it leads there, and its peer has neither closed it nor sent what nobody asked for."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        there = (parts.hostname or "", parts.port or (443 if tls else 80), tls)
        if (self.host, self.port, self.tls) != there or self.cut_off or not isinstance(self.sock, socket.socket):
            return False
        waiting = select.poll()
        waiting.register(self.sock, select.POLLIN)
        return not waiting.poll(0)

    def has_read(self, response: HTTPResponse) -> bool:
        """Whether the rest of an answer was there, and short: then another request may follow. Nobody waits for it."""
        if response.will_close or not isinstance(self.sock, socket.socket):
            return False
        try:
            self.sock.settimeout(REST_SECONDS)
            for _ in range(REST_PARTS):
                if response.length == 0 or response.isclosed():
                    break
                response.read1(MOST_REST)
            self.sock.settimeout(READ_SECONDS)
        except (OSError, HTTPException, ValueError):
            return False
        is_over = response.length == 0 or response.isclosed()
        response.close()
        return is_over

    def cut(self) -> None:
        """End whatever the connection is doing."""
        self.cut_off = True
        if isinstance(self.sock, socket.socket):
            try:
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not TLS's own, which would wait for its peer
            except OSError:
                return  # it is over already


class _Kept(threading.local):
    """What this thread keeps while it sends a batch."""

    keeps = False
    connection: _PinnedConnection | None = None


_kept = _Kept()


@contextmanager
def one_connection() -> Iterator[None]:
    """What this thread sends meanwhile to one receiver goes over one connection, as far as that holds: whoever is far
    away takes a tenth of the time. It stays with the address that was checked when it was opened; each that is opened
    after it is checked anew."""
    _kept.keeps = True
    try:
        yield
    finally:
        _kept.keeps = False
        _drop()


def _drop() -> None:
    if _kept.connection is not None:
        _kept.connection.close()
        _kept.connection = None


def send(message: OutgoingMessage) -> None:
    """POST it. Anything but a 2xx within the time is DeliveryFailed; redirects are not followed."""
    parts = urlsplit(message.target)
    if parts.scheme != "https" and not settings.WEBHOOK_PLAIN:
        raise DeliveryFailed("Only https is allowed.")
    status = _over_kept(message) or _over(_connection(message.target), message)
    if not 200 <= status < 300:
        told = "; redirects are not followed" if 300 <= status < 400 else ""
        raise DeliveryFailed(f"It answered {status}{told}.")


def _over_kept(message: OutgoingMessage) -> int | None:
    """The answer over the connection that was kept; None without one, or if the receiver has closed it meanwhile. It
    may have taken the message before that: it knows a repetition by its id."""
    connection, _kept.connection = _kept.connection, None
    if connection is None:
        return None
    if not connection.is_good_for(message.target):
        connection.close()
        return None
    try:
        return _over(connection, message)
    except DeliveryFailed as error:
        if isinstance(error.__cause__, ConnectionResetError | BrokenPipeError) and not connection.cut_off:
            return None
        raise


def _connection(url: str) -> _PinnedConnection:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return _PinnedConnection(parts.hostname or "", parts.port or (443 if tls else 80), tls=tls)


def _over(connection: _PinnedConnection, message: OutgoingMessage) -> int:
    """The status of the answer. The connection is kept for the next message, or closed."""
    parts, body = urlsplit(message.target), json.dumps(message.body).encode()
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    with _in_time(connection):
        connection.request("POST", path, body, _headers(message, body))
        response = connection.getresponse()
    if _kept.keeps and connection.has_read(response):
        _kept.connection = connection
    else:
        connection.close()
    return response.status


def _headers(message: OutgoingMessage, body: bytes) -> dict[str, str]:
    now = int(time.time())  # the receiver compares it with its own clock, not with our database's
    return {
        "Content-Type": "application/json",
        "User-Agent": f"drsorch/{settings.VERSION}",
        "Connection": "keep-alive" if _kept.keeps else "close",
        "X-Drsorch-Event": message.event,
        "X-Drsorch-Delivery": str(message.delivery_id),
        "X-Drsorch-Timestamp": str(now),
        "X-Drsorch-Signature": signature(message.secret, now, body),
    }


@contextmanager
def _in_time(connection: _PinnedConnection) -> Iterator[None]:
    """For one request; whatever goes wrong with it is DeliveryFailed, and closes the connection."""
    timer = threading.Timer(DEADLINE_SECONDS, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
        if connection.cut_off:  # an answer cut short can look like a whole one
            raise TimeoutError
    except ForbiddenAddress as error:
        connection.close()
        raise DeliveryFailed(str(error)) from error
    except (OSError, HTTPException, ValueError) as error:
        connection.close()
        late = connection.cut_off or isinstance(error, TimeoutError)
        reason = f"No answer within {DEADLINE_SECONDS:.0f} s." if late else f"{type(error).__name__}: {error}"
        raise DeliveryFailed(reason[:500]) from error
    finally:
        timer.cancel()
