"""gunicorn's worker with threads, whose threads wait for no peer.

In gunicorn's own, a thread reads a request as slowly as it is sent and sends an answer as slowly as it is read: sixteen
connections of a stranger, a byte a second, and nobody else is answered. Here the main loop collects each request and
sends what a thread left of an answer, so that connections cost memory, which has an end, and threads only work.
"""

import re
import selectors
import socket
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gunicorn.http import get_parser  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

MOST_HEAD = 65_536  # bytes of request line and headers; an AWS load balancer passes on as many
MOST_BODY = 1_048_576 + 2  # what is longer is refused unread: DATA_UPLOAD_MAX_MEMORY_SIZE and contract.rest.parsers
RECEIVE_SECONDS = 30.0  # from a request's first byte to its last
STALL_SECONDS = 30.0  # in which a peer takes nothing of its answer
LINGER_SECONDS = 2.0  # for a peer to hear an answer to the end before its connection is gone
MOST_HELD = 128 * 1024 * 1024  # bytes of all connections of a process
READ_AT_ONCE = 65_536
HEAD_END = b"\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
CHUNKS_END = re.compile(rb"\r\n0+[ \t]*\r\n\r\n\Z")


class PatientSocket(socket.socket):
    """Sends what the peer takes at once and keeps the rest for the main loop."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.unsent = bytearray()

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        whole = memoryview(data).cast("B")
        self.unsent += whole if self.unsent else whole[self._send_some(whole) :]

    def send(self, data: Any, flags: int = 0, /) -> int:
        self.sendall(data)
        return len(data)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        return self.send(file.read(-1 if count is None else count))

    def _send_some(self, data: Any) -> int:
        """How much of it the peer's side has room for now."""
        try:
            return super().send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def flush(self) -> bool:
        """Whether nothing is left, after another try."""
        while self.unsent and (sent := self._send_some(self.unsent[:READ_AT_ONCE])):
            del self.unsent[:sent]
        return not self.unsent


@dataclass(eq=False)
class Waiting:
    """A connection that the main loop has in hand: a request that arrives, an answer that leaves, or a last moment."""

    conn: Any
    until: float
    received: bytearray = field(default_factory=bytearray)
    needed: int = 0  # bytes in all, once the head says so
    looked: int = 0  # how far the end of the head was looked for
    chunked: bool = False

    @property
    def held(self) -> int:
        return len(self.received) + len(self.conn.sock.unsent)

    def is_whole(self) -> bool:
        """Whether all of it is there that will be read."""
        if not self.needed:
            end = self.received.find(HEAD_END, max(0, self.looked - len(HEAD_END)))
            self.looked = len(self.received)
            if end < 0:
                return False
            self._read_head(bytes(self.received[: end + 2]), end + len(HEAD_END))
        if self.chunked and CHUNKS_END.search(self.received[-64:]):
            return True
        return len(self.received) >= self.needed

    def _read_head(self, head: bytes, length: int) -> None:
        told = _LENGTH.search(head)
        self.chunked = bool(_CHUNKED.search(head))
        body = MOST_BODY if self.chunked else min(int(told[1]), MOST_BODY) if told else 0
        self.needed = length + body
        if _EXPECTS.search(head) and len(self.received) < self.needed:
            self.conn.sock.sendall(CONTINUE)


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """Overrides what gunicorn 27 does where a connection goes from the main loop to a thread, and comes back."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waiting: set[Waiting] = set()

    def enqueue_req(self, conn: Any) -> None:
        """A new connection, the next request on an old one, or what was sent right behind the last request."""
        if not isinstance(conn.sock, PatientSocket):
            conn.sock = PatientSocket(conn.sock)
            conn.parser, conn.initialized = get_parser(self.cfg, [], conn.client), True  # it reads what it is given
        arriving = Waiting(conn, time.monotonic() + self.cfg.keepalive)
        arriving.received += conn.parser.unreader.take_buffered()
        if arriving.received:
            arriving.until = time.monotonic() + RECEIVE_SECONDS
        if arriving.is_whole():
            self._begin(arriving)
        else:
            self._wait(arriving, selectors.EVENT_READ, self._on_readable)

    def _wait(self, waiting: Waiting, event: int, react: Any) -> None:
        waiting.conn.sock.setblocking(False)
        self.waiting.add(waiting)
        self.poller.register(waiting.conn.sock, event, partial(react, waiting))

    def _take(self, waiting: Waiting) -> None:
        self.waiting.discard(waiting)
        self.poller.unregister(waiting.conn.sock)

    def _drop(self, waiting: Waiting) -> None:
        self._take(waiting)
        self.nr_conns -= 1
        waiting.conn.close()

    def _on_readable(self, arriving: Waiting, _: Any) -> None:
        if arriving not in self.waiting:  # dropped in another one's turn of this round
            return
        data = self._read(arriving)
        if data is None:
            return
        if not data:
            self._drop(arriving)
            return
        if not arriving.received:
            arriving.until = time.monotonic() + RECEIVE_SECONDS
        arriving.received += data
        if arriving.is_whole():
            self._take(arriving)
            self._begin(arriving)
        elif not arriving.needed and len(arriving.received) > MOST_HEAD:
            arriving.conn.sock.sendall(TOO_LARGE)
            self._take(arriving)
            self._leave(arriving.conn)
        else:
            self._keep_within_bounds()

    def _read(self, waiting: Waiting) -> bytes | None:
        """What came; nothing at the end, None if it was a false alarm."""
        try:
            return bytes(waiting.conn.sock.recv(READ_AT_ONCE))
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _begin(self, arriving: Waiting) -> None:
        arriving.conn.parser.unreader.unread(bytes(arriving.received))
        super().enqueue_req(arriving.conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """A thread is through with it. What it left of its answer is sent first."""
        if not conn.sock.unsent:
            self._finish(conn, fs)
            return
        leaving = Waiting(conn, time.monotonic() + STALL_SECONDS)
        self._wait(leaving, selectors.EVENT_WRITE, partial(self._on_writable, fs))
        self._keep_within_bounds()

    def _on_writable(self, fs: Any, leaving: Waiting, _: Any) -> None:
        if leaving not in self.waiting:
            return
        try:
            is_sent = leaving.conn.sock.flush()
        except OSError:
            self._drop(leaving)
            return
        leaving.until = time.monotonic() + STALL_SECONDS
        if is_sent:
            self._take(leaving)
            self._finish(leaving.conn, fs)

    def _finish(self, conn: Any, fs: Any) -> None:
        if fs.cancelled() or fs.exception() or not fs.result():
            self._leave(conn)
        else:
            super().finish_request(conn, fs)

    def _leave(self, conn: Any) -> None:
        """Close it so that the peer hears the answer to its end (RFC 9112, 9.6); gunicorn's own way waits for that."""
        try:
            conn.sock.flush()
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        self._wait(Waiting(conn, time.monotonic() + LINGER_SECONDS), selectors.EVENT_READ, self._on_last_words)

    def _on_last_words(self, leaving: Waiting, _: Any) -> None:
        if leaving in self.waiting and self._read(leaving) == b"":
            self._drop(leaving)

    def _keep_within_bounds(self) -> None:
        """Whoever holds most goes first."""
        held = sum(each.held for each in self.waiting)
        while held > MOST_HELD:
            largest = max(self.waiting, key=lambda each: each.held)
            held -= largest.held
            self._drop(largest)

    def murder_pending(self) -> None:
        """gunicorn calls it between two rounds. Whose time is up is gone; when all connections are in use, so is who
        has been idle for longest: nobody can keep others out by merely being there."""
        now = time.monotonic()
        for each in [each for each in self.waiting if each.until <= now]:
            self._drop(each)
        if self.nr_conns < self.worker_connections:
            return
        if self.keepalived_conns:
            self.keepalived_conns[0].timeout = now
            self.murder_keepalived()
        elif self.waiting:
            self._drop(min(self.waiting, key=lambda each: each.until))

    def _cap_keepalive(self, deadline: float) -> None:
        """gunicorn calls it at its end: who has asked nothing is not waited for."""
        super()._cap_keepalive(deadline)
        for each in self.waiting:
            if not each.held:
                each.until = min(each.until, deadline)
