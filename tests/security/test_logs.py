"""Log lines: one record a line whatever is in it, and no secret in any of them."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from audit.actor import Actor
from audit.journal import record
from drsorch_site.configuration.logs import BriefRefusals, ConsoleLines, JsonLines
from tests.support.api_client import Api, make_user

SECRET = "the-installation's-own-secret"
EVIL = "x\r\n2026-01-01 00:00:00,000 INFO    audit: forged\x1b[2J\u2028\u202ereversed"
SAMPLES = {
    "Authorization: Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl": "eyJhbGciOi",
    "{'Authorization': 'Bearer abcdef123456'}": "abcdef123456",
    "sent Bearer abcdef123456~+/=": "abcdef123456",
    "Cookie: __Host-session=s3ss10nvalue; __Host-csrf=t0kenvalue": "s3ss10nvalue",
    "Set-Cookie: session=s3ss10nvalue; HttpOnly": "s3ss10nvalue",
    "client_secret=hush-hush-hush&grant_type=x": "hush-hush-hush",
    '{"password": "hush-hush-hush"}': "hush-hush-hush",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG": "wJalrXUtnFEMI",
    "aws_session_token='FwoGZXIvYXdzE'": "FwoGZXIvYXdzE",
    "GET /oidc/callback?code=4uthc0de&state=st4te HTTP/1.1": "4uthc0de",
    f"sent drsorch_{'T0kenOfAProgram' * 3}"[:57]: "T0kenOfAProgram",
    "csrfmiddlewaretoken=abcdefgh12345678": "abcdefgh12345678",
    f"the key is {SECRET}!": SECRET,
}


def lines(make: Callable[..., logging.Formatter], message: str, *args: object, **options: Any) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(make(secrets=[SECRET, ""]))
    logger = logging.getLogger("test")
    logger.addHandler(handler)
    try:
        logger.warning(message, *args, **options)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue().removesuffix("\n").split("\n")


@pytest.mark.parametrize("make", [ConsoleLines, JsonLines])
def test_text_from_outside_cannot_forge_a_line(make: Callable[..., logging.Formatter]) -> None:
    found = lines(make, "name is %s", EVIL, extra={"subject": EVIL} if make is JsonLines else None)
    assert len(found) == 1
    for character in "\r\x1b\u2028\u202e":
        assert character not in found[0]


def test_a_traceback_cannot_forge_a_line_either() -> None:
    try:
        raise ValueError(EVIL)
    except ValueError:
        found = lines(ConsoleLines, "failed", exc_info=True)
    assert "failed" in found[0]
    assert all(line.startswith("    ") for line in found[1:])
    assert not any("\x1b" in line or "\r" in line for line in found)


@pytest.mark.parametrize("make", [ConsoleLines, JsonLines])
@pytest.mark.parametrize(("text", "secret"), SAMPLES.items())
def test_it_hides_secrets(make: Callable[..., logging.Formatter], text: str, secret: str) -> None:
    shown = "\n".join(lines(make, "seen: %s", text))
    assert secret not in shown
    assert "[hidden]" in shown


@pytest.mark.parametrize("make", [ConsoleLines, JsonLines])
def test_it_hides_secrets_in_tracebacks(make: Callable[..., logging.Formatter]) -> None:
    try:
        raise ValueError(f"cannot connect with {SECRET}")
    except ValueError:
        assert SECRET not in "\n".join(lines(make, "failed", exc_info=True))


def test_it_leaves_plain_words_alone() -> None:
    text = "user ann signed in; token expired; 3 sessions; plan “Secret base” started by code review"
    assert text in lines(ConsoleLines, text)[0]


def test_json_lines_say_when_who_and_what() -> None:
    (line,) = lines(JsonLines, "hello %s", "you", extra={"journal": {"verb": "plan.create", "password": "x" * 9}})
    told = json.loads(line)
    assert told["level"] == "WARNING"
    assert told["logger"] == "test"
    assert told["message"] == "hello you"
    assert told["journal"]["verb"] == "plan.create"
    assert told["at"].endswith(("Z", "+00:00"))


@pytest.mark.django_db
def test_each_entry_of_the_journal_is_a_log_line_once_it_is_committed(
    caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with caplog.at_level("INFO", "audit"), django_capture_on_commit_callbacks(execute=True):
        actor = Actor("ann@example.com", address="192.0.2.7", request_id="r-1")
        entry = record(actor, "plan.create", subject_kind="plan", subject_id="1", after={"planName": "x"})
        assert not caplog.records
    (line,) = caplog.records
    told = json.loads(JsonLines().format(line))["journal"]
    assert told["id"] == entry.pk
    assert told["actor"] == "ann@example.com"
    assert told["after"] == {"planName": "x"}
    assert told["request_id"] == "r-1"


def test_no_request_leaves_its_secrets_in_the_log(admin: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        admin.get("/executions")
        admin.post("/protection-groups", b"{")
        admin.client.post("/sign-in", {"username": "x", "password": "a-typed-password"})
        admin.send("GET", "/executions", Authorization="Bearer not.a.token")
    shown = "\n".join(ConsoleLines().format(each) for each in caplog.records)
    for secret in (admin.token, "a-typed-password", "not.a.token", settings.SECRET_KEY):
        assert secret not in shown


class Lines(logging.StreamHandler):  # type: ignore[type-arg]  # of text
    """The console's own handler, into memory."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(ConsoleLines())
        self.addFilter(BriefRefusals())

    @property
    def found(self) -> list[str]:
        return [line for line in self.stream.getvalue().splitlines() if "audit.journal" not in line]


@pytest.fixture
def log() -> Iterator[Lines]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


REFUSED: dict[str, tuple[int, Callable[[Client], Any]]] = {
    "no such host": (400, lambda client: client.get("/", headers={"Host": "evil.example"})),
    "no host name": (400, lambda client: client.get("/", headers={"Host": "x" * 9_000})),
    "no CSRF token": (403, lambda client: client.post("/theme", {"theme": "dark"})),
    "no right": (403, lambda client: client.get("/recovery-plans/new")),
    "not an administrator": (403, lambda client: client.get("/admin/login/")),
    "nothing there": (404, lambda client: client.get("/nothing-here")),
    "nothing there in the API": (404, lambda client: client.get("/api/v1/nothing")),
    "not that way": (405, lambda client: client.put("/journal")),
    "no token": (401, lambda client: Client().get("/api/v1/executions")),
    "no form": (400, lambda client: client.post("/sign-in", b"x", content_type="multipart/form-data; boundary=")),
    "too many fields": (400, lambda client: client.get("/executions?" + "&".join("a" for _ in range(20_001)))),
}


@pytest.mark.django_db
@pytest.mark.parametrize("why", REFUSED)
def test_a_request_that_is_refused_is_one_line_and_wakes_nobody(log: Lines, why: str) -> None:
    client = Client(enforce_csrf_checks=why == "no CSRF token")
    client.force_login(make_user("viewer"), backend="identity.auth.RoleBackend")
    status, send = REFUSED[why]
    assert send(client).status_code == status
    (line,) = log.found
    assert "WARNING" in line
    assert len(line) < 700


@pytest.mark.django_db
def test_an_error_of_ours_keeps_its_traceback(log: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)
    monkeypatch.setattr("identity.sign_in.render", lambda *_, **__: 1 / 0)
    assert client.get("/sign-in/failed").status_code == 500
    assert "ERROR" in log.found[0]
    assert any("ZeroDivisionError" in line for line in log.found)


class Leaves:
    """A client that goes away in the middle of its form."""

    def read(self, *_: object) -> bytes:
        raise ConnectionResetError("Connection reset by peer")

    readline = read


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/settings/password", "/theme", "/api/v1/executions"])
@pytest.mark.parametrize("rest", [Leaves(), io.BytesIO(b"theme=da")])
def test_a_form_that_is_cut_off_is_refused_in_one_line(log: Lines, address: str, rest: object) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(make_user("admin"), backend="identity.auth.RoleBackend")
    kind = "application/json" if "api" in address else "application/x-www-form-urlencoded"
    environ: dict[str, Any] = {"wsgi.input": rest, "CONTENT_LENGTH": "10", "CONTENT_TYPE": kind}
    assert client.generic("POST", address, **environ).status_code == 400
    assert len(log.found) == 1, log.found
    assert "theme" not in client.cookies
