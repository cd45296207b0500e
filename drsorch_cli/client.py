"""Requests to the REST API. What is safe to send again is sent again when a connection breaks."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlencode

from drsorch_cli import __version__
from drsorch_cli.exits import Dropped, Exit, Stop
from drsorch_cli.server import Server

SECONDS = 60.0  # for an answer
TRIES = 3
TRIES_OF_A_START = 4  # nobody should have to wonder whether it has started
LONG = 600.0  # seconds for an answer about the whole configuration
FIRST_PAUSE = 0.5  # doubled each time
LONGEST_PAUSE = 60.0
BUSY = 429
BETWEEN = frozenset({502, 503, 504})  # what stands before a server says so while that restarts
NOT_MODIFIED = 304


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is not carried to where a redirect leads."""

    def redirect_request(self, *args: Any, **given: Any) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    """What the server answered, whatever it was. Names of `headers` are in small letters: a proxy may change those."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The JSON object of the answer; empty for anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def record(self) -> dict[str, Any]:
        """The JSON object that was asked for. Raises Stop where something else came."""
        if not (found := self.told):
            raise Stop(Exit.UNREACHABLE, f"What answered {self.status} is not DRS Orchestration. Check the address.")
        return found

    @property
    def is_a_page(self) -> bool:
        """Whether it is something for a browser: a sign-in page of a network or a proxy, not what was asked for."""
        return self.headers.get("content-type", "").startswith("text/html")

    @property
    def is_ours(self) -> bool:
        return not self.is_a_page if self.status < 300 else {"error", "message"} <= self.told.keys()


class Client:
    """One server, as whoever the token belongs to."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._opener = urllib.request.build_opener(_NoRedirects())

    def get(self, path: str, **query: object) -> Answer:
        """Raises Stop unless the server answers with what was asked for."""
        return self.send("GET", _with_query(path, query), again=True)

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str = "",
        again: bool = False,
        seconds: float = SECONDS,
    ) -> Answer:
        """`key` is an Idempotency-Key: with one the request has its effect once, and is sent again when its answer is
        lost; `again` says the same of a request without effect. Raises Stop."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.send("POST", path, body or {}, headers, again=again or bool(key), seconds=seconds)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = False,
        seconds: float = SECONDS,
    ) -> Answer:
        pause, tries = FIRST_PAUSE, TRIES_OF_A_START if headers else TRIES
        for left in range(tries - 1, -1, -1):
            try:
                answer = self.once(method, path, body, headers, seconds=seconds)
                if answer.status in BETWEEN and not answer.is_ours:
                    raise Dropped(f"it answered {answer.status}, and not as DRS Orchestration does")
            except Dropped as dropped:
                if not left or not (again or dropped.never_sent):
                    raise self._unreachable(dropped.reason) from dropped
            else:
                waits = _asked_to_wait(answer)
                if waits is None or not left:
                    return self._checked(answer)
                pause = waits
            time.sleep(min(pause, LONGEST_PAUSE))
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = SECONDS,
    ) -> Answer:
        """One request, and whatever is answered. Raises Dropped."""
        token = self._token()
        request = urllib.request.Request(  # noqa: S310  (server.address_of lets http and https through)
            self.server.api + path,
            method=method,
            data=None if body is None else as_sent(body),
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json, */*",
                "User-Agent": f"drsorch/{__version__}",
                **({} if body is None else {"Content-Type": "application/json"}),
                **(headers or {}),
            },
        )
        try:
            try:
                response = self._opener.open(request, timeout=seconds)
            except urllib.error.HTTPError as error:
                response = error
            with response:
                told = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, told, response.read())
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._unreachable(_reason(error)) from error
            broke = TimeoutError | ConnectionResetError | BrokenPipeError | str
            raise Dropped(_reason(error), never_sent=not isinstance(error.reason, broke)) from error
        except (OSError, HTTPException, UnicodeError) as error:  # the last of a host's name that can be none
            raise Dropped(_reason(error)) from error

    def _token(self) -> str:
        try:
            return self.server.bearer()
        except Dropped as dropped:
            reason = f"the sign-in cannot be renewed, because of the identity provider: {dropped.reason}"
            raise Dropped(reason, never_sent=True) from dropped

    def _checked(self, answer: Answer) -> Answer:
        if (answer.status < 300 and answer.is_ours) or answer.status == NOT_MODIFIED:
            return answer
        if 300 <= answer.status < 400:
            target = answer.headers.get("location", "elsewhere")
            raise self._unreachable(f"it redirects to {target}; use its own address")
        if not answer.is_ours:
            raise self._unreachable(f"it answered {answer.status}, and not as DRS Orchestration does")
        raise refusal(answer)

    def _unreachable(self, reason: str) -> Stop:
        return Stop(Exit.UNREACHABLE, f"{self.server.address} cannot be reached: {reason}.")


def as_sent(body: Mapping[str, Any]) -> bytes:
    """What was typed in another encoding than UTF-8 is no text: the server says so."""
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body).encode()


def refusal(answer: Answer) -> Stop:
    """Why the server did not do it, in its own words."""
    told = answer.told
    lines = [str(told["message"])]
    details, fields = _object(told.get("details")), _object(_object(told.get("details")).get("fields"))
    lines += [f"  {path}: {' '.join(map(str, texts))}" for path, texts in fields.items() if len(fields) > 1]
    lines += [f"  {details['advice']}"] if details.get("advice") else []
    exit_code = Exit.REFUSED if answer.status < 500 else Exit.FAILED
    return Stop(exit_code, "\n".join(lines), error=str(told["error"]), details=details)


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _asked_to_wait(answer: Answer) -> float | None:
    """For how many seconds, where the server was too busy to do anything; None where that is its answer."""
    asked = answer.headers.get("retry-after", "")
    busy = answer.status == BUSY or answer.told.get("error") == "DATABASE_UNAVAILABLE"
    return float(asked) if busy and asked.isascii() and asked.isdecimal() else None


def _with_query(path: str, query: Mapping[str, object]) -> str:
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def _reason(error: Exception) -> str:
    """What broke, in a few words, and nothing of the request."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({cause.verify_message})"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return f"it does not speak TLS as it should ({cause.reason.replace('_', ' ').lower()})"
    if isinstance(cause, IncompleteRead):
        return "its answer broke off"
    if isinstance(cause, BadStatusLine) and not isinstance(cause, ConnectionError):
        return "it does not speak HTTP"
    if isinstance(cause, TimeoutError):
        return "it does not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause).strip(" .").lower() or "the connection broke"
