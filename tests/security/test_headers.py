"""Cookies and headers: on every answer, whoever made it."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory, override_settings

from console.headers import HEADERS, ClientAddressMiddleware
from tests.security.conftest import Browser
from tests.support.api_client import Api, make_user

pytestmark = pytest.mark.django_db

HTTPS = {
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31_536_000,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
    "SESSION_COOKIE_NAME": "__Host-session",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_NAME": "__Host-csrf",
    "CSRF_COOKIE_SECURE": True,
}
ADDRESSES = [
    "/", "/sign-in", "/journal", "/admin/", "/healthz", "/nothing-here", "/static/nothing.css",
    "/api/v1/executions", "/api/v1/nothing", "/executions/00000000-0000-0000-0000-000000000000",
]  # fmt: skip


def judge(response: Any) -> None:
    for name, value in HEADERS.items():
        assert response.headers.get(name) == value, name
    policy = response.headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert response.headers["X-Request-ID"]
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Server" not in response.headers


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("role", ["admin", ""])
def test_every_answer_has_all_headers(browser: Browser, address: str, role: str) -> None:
    judge((browser(role) if role else Client()).get(address))


def test_static_files_have_them_too(tmp_path: Path) -> None:
    (tmp_path / "console.css").write_text("body {}")
    with override_settings(STATIC_ROOT=tmp_path):
        response = Client().get("/static/console.css")
    assert b"".join(response.streaming_content) == b"body {}"  # type: ignore[attr-defined]  # it is a file
    response.close()
    judge(response)


def test_errors_before_and_behind_the_views_have_them_too(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browser("admin")
    judge(client.get("/", headers={"Host": "evil.example"}))
    judge(Client(enforce_csrf_checks=True).post("/sign-in"))
    client.raise_request_exception = False
    monkeypatch.setattr("drsorch_site.dashboard.render", lambda *_, **__: 1 / 0)
    for address in ("/",):
        response = client.get(address)
        assert response.status_code == 500
        assert "ZeroDivision" not in response.content.decode()
        judge(response)


def test_api_answers_are_stored_nowhere_and_are_json(admin: Api) -> None:
    for path in ("/executions", "/recovery-plans/x", "/nothing", "/audit-entries"):
        response = admin.get(path)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Type"] == "application/json"
        judge(response)
    assert Client().get("/api/v1/executions").headers["Cache-Control"] == "no-store"


def test_pages_are_stored_nowhere(browser: Browser) -> None:
    for address in ("/", "/journal", "/admin/"):
        assert "no-store" in browser("admin").get(address).headers["Cache-Control"]


@override_settings(**HTTPS)
def test_over_https_cookies_belong_to_this_host_alone() -> None:
    make_user("viewer")
    client = Client()
    plain = client.get("/sign-in")
    assert (plain.status_code, plain["Location"]) == (301, "https://testserver/sign-in")
    assert client.get("/healthz").status_code == 200
    page = client.get("/sign-in", secure=True)
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    user = make_user("viewer")
    given = {"username": user.get_username(), "password": "correct-horse-battery"}
    response = client.post("/sign-in", given, secure=True)
    assert response.status_code == 302
    for name in ("__Host-session", "__Host-csrf"):
        cookie = client.cookies[name]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert cookie["path"] == "/"
        assert not cookie["domain"]
        assert cookie["samesite"] == "Lax"


def test_over_http_on_this_machine_cookies_work_without() -> None:
    assert settings.SESSION_COOKIE_NAME == "session"
    assert not settings.SESSION_COOKIE_SECURE
    assert "Strict-Transport-Security" not in Client().get("/sign-in").headers


@pytest.mark.parametrize(
    ("trusted", "sent", "seen"),
    [
        (False, "198.51.100.9", "192.0.2.1"),
        (True, "203.0.113.5, 198.51.100.9", "198.51.100.9"),
        (True, "nonsense", "192.0.2.1"),
        (True, "", "192.0.2.1"),
        (True, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_forwarded_address_counts_only_behind_our_proxy(trusted: bool, sent: str, seen: str) -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": sent}, REMOTE_ADDR="192.0.2.1")
    with override_settings(TRUSTED_PROXY=trusted):
        ClientAddressMiddleware(lambda _: None)(request)  # type: ignore[arg-type, return-value]  # no answer is needed
    assert request.META["REMOTE_ADDR"] == seen


def test_the_icon_is_everybodys(browser: Browser) -> None:
    for client in (Client(), browser("viewer")):
        answer = client.get("/favicon.ico")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
        assert answer.content.startswith(b"<svg")
        judge(answer)


def test_the_page_of_the_api_leads_back_and_has_the_consoles_theme(browser: Browser) -> None:
    client = browser("viewer")
    client.cookies["theme"] = "dark"
    page = client.get("/api/v1/docs").content.decode()
    assert '<html lang="en" data-theme="dark">' in page
    assert '<a class="back" href="/">' in page
    assert "api-docs.css" in page
