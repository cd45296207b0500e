"""The API as its clients see it: a Bearer token, JSON in, JSON out."""

import itertools
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from identity.session_expiry import SEEN
from identity.tokens import make_token

_numbers = itertools.count(1)


def make_user(*roles: str) -> User:
    """A new user in these roles."""
    name = f"{'-'.join(roles) or 'nobody'}-{next(_numbers)}"
    user = User.objects.create_user(name, f"{name}@example.com", "correct-horse-battery")
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def sign_in(client: Client, user: User) -> Client:
    """The browser of somebody whose being there was just noted. Otherwise the first request after the clock's next
    second notes it, and a test that counts what a page asks would now and then count that, too."""
    client.force_login(user)
    session = client.session
    session[SEEN] += 60
    session.save()
    return client


class Api:
    """A client of `/api/v1` that acts as `user`. A path that begins with /api/ is taken as it is."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client(raise_request_exception=False)
        self.token = make_token(user, timedelta(hours=1))

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Any request; `body` may be bytes. Headers with underscores for dashes."""
        sent: Mapping[str, str] = {"Authorization": f"Bearer {self.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        url = path if path.startswith("/api/") else f"/api/v1{path}"
        options: dict[str, Any] = {} if body is None else {"data": body, "content_type": "application/json"}
        if body is not None and not isinstance(body, bytes):
            options["data"] = json.dumps(body)
        return self.client.generic(method, url, headers=sent, **options)

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self.send("PUT", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("DELETE", path, body, **headers)


def answer(response: Any, status: int = 200) -> Any:
    """The body of an answer that must have this status."""
    assert response.status_code == status, f"{response.status_code}: {response.content.decode()}"
    return response.json()


def refusal(response: Any, status: int, code: str) -> Any:
    """The details of a refusal, which must have the contract's shape, this status and this code."""
    body = answer(response, status)
    assert set(body) == {"error", "message", "details"}
    assert body["error"] == code, body
    assert body["message"].endswith((".", "?")), body
    assert isinstance(body["details"], dict)
    return body["details"]
