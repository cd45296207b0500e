"""Signing in with a browser on this machine (RFC 8252): authorization code, PKCE, and a loopback address that it comes
back to. The ports are few and fixed, because Cognito compares that address as a whole and takes http for localhost
alone; whoever else listens there gets a code that is worth nothing without the verifier of this process."""

import base64
import errno
import hashlib
import hmac
import os
import queue
import secrets
import socket
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

from drsorch_cli.exits import Dropped, Exit, Stop, usage
from drsorch_cli.oidc.provider import Provider, ask
from drsorch_cli.oidc.session import Session
from drsorch_cli.output import Output

PORTS = (8401, 8402, 8403)  # docs/sign-in.md has people register these
SECONDS = 300.0  # for a person to sign in
REQUEST_SECONDS = 5.0
CALLBACK = "/callback"
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>drsorch</title><h1>{}</h1>'
    "<p>You can close this page and go back to the terminal.</p></html>"
)


@dataclass
class Waiting:
    """One sign-in under way: what its answer must say, and where that goes. `port` is where it comes back to."""

    issuer: str
    port: int
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    answers: "queue.Queue[dict[str, str]]" = field(default_factory=queue.Queue)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}{CALLBACK}"

    def take(self, path: str, host: str) -> tuple[int, str]:
        """What a browser brings: the status and the words to answer it with. Nothing of it is shown."""
        parts = urlsplit(path)
        if parts.path != CALLBACK or host.lower() not in (f"{name}:{self.port}" for name in ("localhost", "127.0.0.1")):
            return 404, "There is nothing here"
        told = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
        if not hmac.compare_digest(told.get("state", "").encode(), self.state.encode()):
            return 400, "This is not of the sign-in that is under way"
        if told.get("iss", self.issuer) != self.issuer:  # RFC 9207
            return 400, "This comes from another identity provider"
        if not told.get("code") and not told.get("error"):
            return 400, "There is no code in it"
        self.answers.put(told)
        return 200, "You are signed in" if told.get("code") else "The identity provider has refused the sign-in"


def sign_in(provider: Provider, ports: Sequence[int], output: Output, seconds: float = SECONDS) -> Session:
    """Have somebody sign in with a browser. Raises Stop."""
    verifier, nonce = secrets.token_urlsafe(64), secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    with _listening(provider.issuer, ports) as waiting:
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": waiting.address,
            "scope": provider.scope,
            "state": waiting.state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(provider.authorization_endpoint).query else "?"
        _show(f"{provider.authorization_endpoint}{separator}{urlencode(asked)}", waiting.port, output)
        try:
            told = waiting.answers.get(timeout=seconds)
        except queue.Empty:
            raise Stop(Exit.TIMED_OUT, f"Nobody signed in within {seconds:g} s. Run it again.") from None
    if "code" not in told:
        raise Stop(Exit.REFUSED, f"The identity provider has refused the sign-in: {told['error'][:100]}.")
    form = {
        "grant_type": "authorization_code",
        "client_id": provider.client_id,
        "code": told["code"],
        "redirect_uri": waiting.address,
        "code_verifier": verifier,
    }
    try:
        status, answer = ask(provider.token_endpoint, form)
    except Dropped as dropped:
        raise Stop(Exit.UNREACHABLE, f"The identity provider cannot be reached: {dropped.reason}.") from dropped
    if status != 200:
        error = str(answer.get("error", ""))[:100]
        raise Stop(Exit.REFUSED, f"The identity provider gave no token: it answered {status} {error}".rstrip() + ".")
    return Session.of(provider, answer, nonce)


def _show(address: str, port: int, output: Output) -> None:
    """Open it where a browser can be, and say it in any case."""
    output.say(f"Sign in with a browser on this machine:\n\n  {address}\n")
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(each) for each in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    )
    if not has_screen or not _opened(address):
        output.say(
            "Without a browser here, forward the port from a machine that has one, and open the address there:"
            f"\n\n  ssh -L {port}:localhost:{port} HOST"
        )


def _opened(address: str) -> bool:
    """Whether a browser took it. What that prints must not get into our stdout, which a script may read."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        return webbrowser.open(address)
    finally:
        os.dup2(kept, 1)
        os.close(kept)


class _Server(ThreadingHTTPServer):
    """Of this machine alone."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere it would let another program listen beside this one


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def _listening(issuer: str, ports: Sequence[int]) -> Iterator[Waiting]:
    """Listen on the first port that is free. Raises Stop."""
    waiting = Waiting(issuer, 0)
    servers = next(filter(None, (_servers(port, waiting) for port in ports)), None)
    if servers is None:
        raise usage(f"Other programs have the ports {', '.join(map(str, ports))}. Wait, or give a --port.")
    try:
        for server in servers:
            Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield waiting
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _servers(port: int, waiting: Waiting) -> list[_Server]:
    """For 127.0.0.1, and for ::1 where there is one, because browsers take either for localhost; none where another
    program has the port."""
    handler = _handler(waiting)
    try:
        servers = [_Server(("127.0.0.1", port), handler)]
    except OSError:
        return []
    waiting.port = servers[0].server_port
    try:
        servers.append(_Server6(("::1", waiting.port), handler))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            servers[0].server_close()
            return []
    return servers


def _handler(waiting: Waiting) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS  # of the socket

        def do_GET(self) -> None:
            status, words = waiting.take(self.path, self.headers.get("Host", ""))
            content = PAGE.format(words).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Not onto the terminal: the line would have the code."""

    return Handler
