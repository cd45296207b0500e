"""Signing in without a browser: Django's test client on our side, plain HTTP on the provider's."""

from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from django.test import Client

from identity.models import Grant

CONSOLE = "http://testserver"
PASSWORD = "correct-horse-battery"


def begin(browser: Client) -> str:
    """The provider's address that a sign-in leads to."""
    return str(browser.get("/oidc/authenticate")["Location"])


def come_back(browser: Client, address: str) -> None:
    """With the code that the provider put into this address; leaves the browser signed in."""
    parts = urlsplit(address)
    answer = browser.get(f"{parts.path}?{parts.query}")
    assert answer["Location"] == "/", answer["Location"]


def sign_in(browser: Client, name: str = "alice") -> None:
    """Through the hosted pages, with the password."""
    with requests.Session() as pages:
        form = pages.get(begin(browser), timeout=5)
        answer = pages.post(form.url, {"username": name, "password": PASSWORD}, timeout=5, allow_redirects=False)
        while not (target := urljoin(answer.url, answer.headers["location"])).startswith(CONSOLE):
            answer = pages.get(target, timeout=5, allow_redirects=False)
    come_back(browser, target)


def nonce_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["nonce"][0]


def state_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def grant() -> Grant:
    return Grant.objects.get()
