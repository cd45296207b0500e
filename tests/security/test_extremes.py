"""Whatever is sent to whatever address, by whomever: no answer is an error of ours, is slow or shows a traceback."""

import itertools
import logging
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from io import BytesIO
from typing import Any, TypeVar

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.test import Client, override_settings

from contract.rest.utf8_request import Utf8Request
from drs_simulator.testing import RunningSimulator
from drsorch_site.configuration.logs import BriefRefusals
from drsorch_site.schema import document
from identity.roles import ROLES
from tests.security import extremes
from tests.security.conftest import Browser
from tests.security.routes import furnish, misnamed, pages
from tests.security.test_methods import administrator
from tests.yardstick import is_quick

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.postgresql]  # which takes less than SQLite

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get")
FULL = os.environ.get("FUZZ") == "full"  # script/fuzz
MOST_SECONDS = 2.0  # of a processor that others use, too
UNTHROTTLED = dict.fromkeys(settings.THROTTLES, "1000000/min")
SHOWN = ("Traceback (most recent call last)", "site-packages", "django.core", 'File "/')


class Tracebacks(logging.Handler):
    """What the log has of failures."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(BriefRefusals())
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            self.found.append(f"{record.name}: {record.getMessage()[:200]} ({record.exc_info[1]!r:.300})")


@pytest.fixture(autouse=True)
def requests_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test client would make them of another class than the WSGI application does."""
    monkeypatch.setattr("django.test.client.WSGIRequest", Utf8Request)


@pytest.fixture
def tracebacks() -> Iterator[Tracebacks]:
    handler = Tracebacks()
    loggers = [logging.getLogger(name) for name in ("", "django")]
    for each in loggers:
        each.addHandler(handler)
    yield handler
    for each in loggers:
        each.removeHandler(handler)


@dataclass(frozen=True)
class Told:
    """An answer, and what it cost."""

    status: int
    text: str
    seconds: float


def ask(client: Client, method: str, address: str, query: str = "", body: bytes = b"", **environ: str) -> Told:
    """The answer and what it cost; what the request changed is undone, and the next one meets the same house."""
    asked: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": address,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }
    cookies = SimpleCookie(client.cookies)
    if "HTTP_COOKIE" in environ and cookies:
        environ["HTTP_COOKIE"] += "; " + "; ".join(f"{each.key}={each.coded_value}" for each in cookies.values())
    began = os.times().user
    with transaction.atomic():
        answer = client.request(**asked | environ)
        text = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        transaction.set_rollback(True)
    client.cookies = cookies
    return Told(answer.status_code, text.decode("utf-8", "replace"), os.times().user - began)


def wrong(told: Told, logged: list[str], *, may_be_unready: bool = False) -> str:
    """What is wrong with an answer; empty for a good one."""
    if told.status >= 500 and not (may_be_unready and told.status == 503):
        return f"{told.status} {logged}"
    if not is_quick(told.seconds, MOST_SECONDS):
        return f"{told.seconds:.1f} s"
    if any(each in told.text for each in SHOWN):
        return f"{told.status} with a traceback"
    return f"{told.status} with a traceback in the log {logged}" if logged else ""


@dataclass
class House:
    """Who asks, what was wrong with the answers, and how many there were."""

    client: Client
    log: Tracebacks
    found: list[str] = field(default_factory=list)
    asked: int = 0

    def try_it(self, method: str, address: str, query: str = "", body: bytes = b"", **environ: str) -> None:
        self.asked += 1
        if self.asked % 100 == 0:
            cache.clear()  # what failed sign-ins have counted
        before = len(self.log.found)
        told = ask(self.client, method, address, query, body, **environ)
        if told.seconds > MOST_SECONDS:  # by a neighbour, or garbage of others? What is slow is so twice
            told = ask(self.client, method, address, query, body, **environ)
        if fault := wrong(told, self.log.found[before:], may_be_unready=address == "/readyz"):
            sent = f"{ascii(query)[:150]} {ascii(environ)[:300]} {body[:100]!r}"
            self.found.append(f"{fault}: {method} {ascii(address)[:200]} {sent}")


Enter = Callable[[str], House]


@pytest.fixture
def enter(browser: Browser, simulator: RunningSimulator, tracebacks: Tracebacks) -> Iterator[Enter]:
    """`enter("viewer")` is a house with somebody in that role; `enter("")` with a stranger."""

    def made(role: str) -> House:
        client = administrator(browser) if role == "admin" else browser(role) if role else Client()
        client.raise_request_exception = False
        houses.append(House(client, tracebacks))
        return houses[-1]

    houses: list[House] = []
    document()  # made once a process
    with override_settings(THROTTLES=UNTHROTTLED):
        yield made
    if FULL:
        print(f"{sum(each.asked for each in houses):,} requests, {sum(len(each.found) for each in houses)} failures")


def addresses(names: dict[str, Any]) -> list[str]:
    return sorted({*pages(names), "/nothing-here", "/api/v1/nothing", "/static/nothing.css"})


T = TypeVar("T")
U = TypeVar("U")
# One in twenty of all pairs, as a diagonal: each address meets some of the oddities, and each of these some addresses.
# It is another diagonal for each role, so that all of them together ask three in ten.
shares = pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.long)])
TURNS = {role: 3 * at for at, role in enumerate((*ROLES, ""))}


def pairs(share: int, addresses: Iterable[T], oddities: Iterable[U], role: str = "admin") -> Iterator[tuple[T, U]]:
    for (at, address), (turn, oddity) in itertools.product(enumerate(addresses), enumerate(oddities)):
        if (at + turn + TURNS[role]) % share == 0:
            yield address, oddity


def shuffled(dice: random.Random, oddities: Iterable[T]) -> Iterator[T]:
    """All of them in some order, again and again."""
    found = list(oddities)
    dice.shuffle(found)
    return itertools.cycle(found)


@shares
@pytest.mark.parametrize("role", [*ROLES, ""])
def test_no_header_query_or_body_is_an_error_of_ours(enter: Enter, role: str, share: int) -> None:
    """Every address by every method; the oddities take turns, so that each meets some, and others in each role."""
    known = addresses(furnish())
    house = enter(role)
    dice = random.Random(f"{role} of the extremes")
    headers, queries = shuffled(dice, extremes.headers()), shuffled(dice, extremes.queries())
    bodies = shuffled(dice, extremes.bodies())
    for turn, (address, method) in enumerate(pairs(share, known, METHODS, role)):
        kinds = range(3) if FULL or method in ("GET", "POST") else (turn % 3,)
        for kind in kinds:
            environ: dict[str, str] = {}
            query, body = "", b""
            if kind == 0:
                environ, query = next(headers), "q=%c3%a9&page=2"
            elif kind == 1:
                query = next(queries)
            if kind == 2 or (kind == 0 and method not in ("GET", "HEAD")):
                content_type, body = next(bodies)
                environ = {"CONTENT_TYPE": content_type, **environ}
            house.try_it(method, address, query, body, **environ)
    assert house.found == []
    assert house.asked > 2_000 / share


@shares
@pytest.mark.parametrize("role", ["admin", ""])
def test_no_header_of_any_page_is_an_error_of_ours(enter: Enter, role: str, share: int) -> None:
    """All that are no reason to refuse a request at once, together; also as htmx asks."""
    known = addresses(furnish())
    house = enter(role)
    together = [f"HTTP_{name}" for name in extremes.NAMES if name not in ("HOST", "COOKIE", "AUTHORIZATION")]
    for address, text in pairs(share, known, extremes.TEXTS if FULL else extremes.WORST_TEXTS, role):
        environ = dict.fromkeys(together, text)
        for asks in (text, "true") if FULL else ("true",):
            house.try_it("GET", address, "", b"", **environ | {"HTTP_HX_REQUEST": asks})
    assert house.found == []


@shares
def test_no_parameter_of_any_page_is_an_error_of_ours(enter: Enter, share: int) -> None:
    """All of a page together; the API, which refuses those that it does not know, is asked with its own, one by one."""
    names = furnish()
    known = [each for each in addresses(names) if not each.startswith("/api/")]
    house = enter("admin")
    for address, value in pairs(share, known, extremes.VALUES if FULL else extremes.WORST_VALUES):
        query = "&".join(f"{name}={value}" for name in extremes.PARAMETERS if name not in CURSORS)
        house.try_it("GET", address, query, HTTP_HX_REQUEST="true")
    for (path, name), value in pairs(share, parameters(names), extremes.VALUES):
        house.try_it("GET", path, f"{name}={value}")
    assert house.found == []


CURSORS = ("after", "nextToken")


def parameters(names: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The addresses of the API that take something in their query, and what."""
    values = {"groupId": names["group_id"], "planId": names["plan_id"], "executionId": names["execution_id"]}
    for path, operations in document()["paths"].items():
        for each in operations.get("get", {}).get("parameters", []):
            if each["in"] == "query":
                yield "/api/v1" + re.sub(r"{(\w+)}", lambda found: str(values.get(found[1], "0")), path), each["name"]


def test_a_page_that_is_no_address_leads_to_the_sign_in_page_all_the_same(client: Client, db: None) -> None:
    for page in ("http://[", "http://[::1", "//[", "http://\xff[/"):
        answer = client.get("/executions", headers={"HX-Request": "true", "HX-Current-URL": page})
        assert answer.status_code == 401
        assert answer["HX-Redirect"] == "/sign-in?next=%2F&expired=1"


@shares
def test_no_place_in_a_list_is_an_error_of_ours(enter: Enter, share: int) -> None:
    lists = sorted({path for path, name in parameters(furnish()) if name == "nextToken"})
    lists += ["/executions", "/journal", "/recovery-plans"]
    house = enter("admin")
    for address, token in pairs(share, lists, extremes.cursors()):
        house.try_it(
            "GET",
            address,
            "&".join(f"{name}={token}" for name in CURSORS if ("api" in address) == (name == "nextToken")),
        )
    assert house.found == []
    assert house.asked > 300 / share


@shares
@pytest.mark.parametrize("role", ["admin", ""])
def test_no_name_in_an_address_is_an_error_of_ours(enter: Enter, role: str, share: int) -> None:
    furnish()
    house = enter(role)
    for at, address in enumerate(misnamed(extremes.PIECES)):
        if (at + TURNS[role]) % share and "\0" not in address:
            continue
        for method in ("GET", "POST", "DELETE") if FULL else ("GET",):
            house.try_it(method, address, body=b"{}")
    assert house.found == []
    assert house.asked > 500 / share
