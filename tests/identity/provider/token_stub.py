"""A token endpoint that answers what a test wants, also what no real provider would; and who was there."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.identity.provider.minting import claims, mint


class TokenStub:
    def __init__(self, url: str) -> None:
        self.url = url
        self.nonce = ""  # of the sign-in
        self.refresh_token: str | None = "first-refresh-token"
        self.renewed: dict[str, Any] = {}  # claims of a renewed token
        self.more: dict[str, Any] = {}  # beside the renewed token
        self.status, self.body = 200, b""  # instead of a renewed token, once set
        self.delay = 0.0
        self.renewals: list[dict[str, str]] = []
        self.revoked: list[str] = []
        self.authorization: set[str] = set()

    def answer(self, path: str, sent: dict[str, str]) -> tuple[int, bytes]:
        if path == "/oauth2/revoke":
            self.revoked.append(sent["token"])
            return self.status, b""
        if sent["grant_type"] == "authorization_code":
            first = {"id_token": mint(claims(nonce=self.nonce)), "access_token": "x"}
            if self.refresh_token is not None:
                first["refresh_token"] = self.refresh_token
            return 200, json.dumps(first).encode()
        self.renewals.append(sent)
        time.sleep(self.delay)
        if self.status != 200 or self.body:
            return self.status, self.body
        return 200, json.dumps({"id_token": mint(claims(**self.renewed)), "access_token": "x"} | self.more).encode()

    def refuse(self, status: int, body: Any = b"") -> None:
        self.status, self.body = status, body if isinstance(body, bytes) else json.dumps(body).encode()

    def recover(self) -> None:
        self.status, self.body = 200, b""


@contextmanager
def token_stub() -> Iterator[TokenStub]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            stub.authorization.add(self.headers.get("Authorization", ""))
            status, body = stub.answer(self.path, {name: values[0] for name, values in sent.items()})
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                return

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads, server.block_on_close = True, False
    stub = TokenStub(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
