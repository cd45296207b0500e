"""What a proxy would say of a request counts only where DRSORCH_TRUSTED_PROXY says that there is one."""

from pathlib import Path
from subprocess import DEVNULL

import pytest
import requests

from tests.support.web_server import web_server

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FORGED = {
    "SCRIPT_NAME": "/evil",
    "Script-Name": "/evil",
    "X-Script-Name": "/evil",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
    "Path-Info": "/healthz",
    "PATH_INFO": "/healthz",
    "REMOTE_ADDR": "203.0.113.9",
}


def test_no_header_moves_the_site_or_its_visitors(tmp_path: Path) -> None:
    with web_server(DRSORCH_THROTTLE_ANON="3/min", DRSORCH_CACHE_DIR=str(tmp_path)) as server:  # nobody was counted yet
        for name, value in FORGED.items():
            for path in ("", "/evil"):
                answer = requests.get(
                    f"{server.url}{path}/executions", headers={name: value}, allow_redirects=False, timeout=20
                )
                assert (answer.status_code == 302) == (not path), (name, path)
                assert "evil" not in answer.headers.get("Location", "").replace("next=%2Fevil", ""), name
                assert "Strict-Transport-Security" not in answer.headers, name
        tried = [
            requests.get(
                f"{server.url}/api/v1/executions", headers={name: value.replace("9", str(n))}, timeout=20
            ).status_code
            for n, (name, value) in enumerate(FORGED.items())
        ]
        assert set(tried[:3]) == {401}
        assert set(tried[3:]) == {429}


def test_an_odd_charset_or_path_is_no_error_of_the_server() -> None:
    with web_server() as server:
        for kind in (
            "text/plain; charset=zlib",
            "application/x-www-form-urlencoded; charset=undefined",
            "a/b; charset=idna",
        ):
            assert (
                requests.get(f"{server.url}/healthz?q=%C3%A9", headers={"Content-Type": kind}, timeout=20).status_code
                == 200
            )
        for name in ("SCRIPT_NAME", "SCRIPT-URL", "Redirect-Url"):
            answer = requests.get(f"{server.url}/healthz", headers={name: b"\xff\xfe"}, timeout=20)
            assert answer.status_code == 200, name


def test_behind_a_trusted_proxy_its_word_counts_and_what_came_before_it_does_not(tmp_path: Path) -> None:
    """As a load balancer sends it: what it saw itself stands last in X-Forwarded-For, after what a client wrote."""
    settings = {
        "DRSORCH_TRUSTED_PROXY": "true",
        "DRSORCH_PUBLIC_URL": "https://dr.example.com",
        "DJANGO_ALLOWED_HOSTS": "dr.example.com",
        "DRSORCH_THROTTLE_ANON": "3/min",
        "DRSORCH_CACHE_DIR": str(tmp_path),
        "DJANGO_SECRET_KEY": "behind-a-proxy-0123456789-abcdefghijklmnopqrstuvwxyz",
    }
    with web_server(DEVNULL, **settings) as server:

        def ask(path: str, seen: str = "198.51.100.1", **headers: str) -> requests.Response:
            told = {"Host": "dr.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": seen, **headers}
            return requests.get(f"{server.url}{path}", headers=told, allow_redirects=False, timeout=20)

        page = ask("/executions")
        assert page.headers["Location"] == "/sign-in?next=%2Fexecutions"
        assert "max-age=31536000" in page.headers["Strict-Transport-Security"]
        plain = ask("/executions", **{"X-Forwarded-Proto": "http"})
        assert (plain.status_code, plain.headers["Location"]) == (301, "https://dr.example.com/executions")
        for name, value in FORGED.items():
            if name not in ("X-Forwarded-Proto", "X-Forwarded-For"):
                answer = ask("/executions", **{name: value})
                assert answer.headers["Location"] == "/sign-in?next=%2Fexecutions", name
        # Whoever makes up an address before it is counted by the one that the proxy saw; others are not.
        tried = [ask("/api/v1/executions", f"203.0.113.{number}, 192.0.2.7").status_code for number in range(5)]
        assert tried == [401, 401, 401, 429, 429]
        assert ask("/api/v1/executions", "192.0.2.7, 192.0.2.8").status_code == 401
