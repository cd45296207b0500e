"""Webhooks: a signed POST over https, to an address that was checked, with an end that no receiver can put off."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from django.conf import settings

from notify.channels.address_guard import ForbiddenAddress, resolve
from notify.channels.message import DeliveryFailed, OutgoingMessage
from notify.channels.signing import signature

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
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

    def cut(self) -> None:
        """End whatever the connection is doing."""
        self.cut_off = True
        if isinstance(self.sock, socket.socket):
            try:
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not TLS's own, which would wait for its peer
            except OSError:
                return  # it is over already


def send(message: OutgoingMessage) -> None:
    """POST it. Anything but a 2xx within the time is DeliveryFailed; redirects are not followed."""
    parts = urlsplit(message.target)
    if parts.scheme != "https" and not settings.WEBHOOK_PLAIN:
        raise DeliveryFailed("Only https is allowed.")
    body = json.dumps(message.body).encode()
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    with _connected(message.target) as connection:
        connection.request("POST", path, body, _headers(message, body))
        status = connection.getresponse().status
    if not 200 <= status < 300:
        told = "; redirects are not followed" if 300 <= status < 400 else ""
        raise DeliveryFailed(f"It answered {status}{told}.")


def _headers(message: OutgoingMessage, body: bytes) -> dict[str, str]:
    now = int(time.time())  # the receiver compares it with its own clock, not with our database's
    return {
        "Content-Type": "application/json",
        "User-Agent": f"drsorch/{settings.VERSION}",
        "Connection": "close",
        "X-Drsorch-Event": message.event,
        "X-Drsorch-Delivery": str(message.delivery_id),
        "X-Drsorch-Timestamp": str(now),
        "X-Drsorch-Signature": signature(message.secret, now, body),
    }


@contextmanager
def _connected(url: str) -> Iterator[HTTPConnection]:
    """A connection for one request; whatever goes wrong with it is DeliveryFailed."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    connection = _PinnedConnection(parts.hostname or "", parts.port or (443 if tls else 80), tls=tls)
    timer = threading.Timer(DEADLINE_SECONDS, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        yield connection
        if connection.cut_off:  # an answer cut short can look like a whole one
            raise TimeoutError
    except ForbiddenAddress as error:
        raise DeliveryFailed(str(error)) from error
    except (OSError, HTTPException, ValueError) as error:
        late = connection.cut_off or isinstance(error, TimeoutError)
        reason = f"No answer within {DEADLINE_SECONDS:.0f} s." if late else f"{type(error).__name__}: {error}"
        raise DeliveryFailed(reason[:500]) from error
    finally:
        timer.cancel()
        connection.close()
