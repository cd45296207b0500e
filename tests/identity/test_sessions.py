"""A session ends when nobody uses it, however much its page polls, and after twelve hours in any case."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as InDatabase
from django.contrib.sessions.models import Session
from django.test import Client

from audit.models import AuditEntry
from identity.session_expiry import STARTED, SessionClock
from identity.sessions import SessionStore
from tests.support.api_client import make_user, refusal

POLL = {"X-Background": "1", "HX-Request": "true", "HX-Current-URL": "http://testserver/executions"}
SECONDS_LEFT, END = "X-Session-Seconds", "X-Session-End"


class MovedClock(SessionClock):
    """The product's middleware on a clock that tests move, and nothing else: a slow machine's seconds do not count."""

    stood_at = ahead = 0

    def now(self) -> int:
        return MovedClock.stood_at + MovedClock.ahead


@pytest.fixture
def user(db: None) -> User:
    return make_user("viewer")


@pytest.fixture
def browser(client: Client, user: User, settings: Any) -> Client:
    ours = f"{SessionClock.__module__}.{SessionClock.__qualname__}"
    moved = f"{MovedClock.__module__}.{MovedClock.__qualname__}"
    settings.MIDDLEWARE = [moved if each == ours else each for each in settings.MIDDLEWARE]
    assert moved in settings.MIDDLEWARE
    client.force_login(user)
    MovedClock.stood_at, MovedClock.ahead = int(time.time()), 0
    return client


def after(minutes: float) -> None:
    MovedClock.ahead = int(minutes * 60)


def test_46_minutes_of_polls_lead_to_the_sign_in_page(browser: Client) -> None:
    for minute in range(45):
        after(minute)
        assert browser.get("/session", headers=POLL).status_code == 204
    after(46)
    response = browser.get("/session", headers=POLL)
    assert response.status_code == 401
    assert response["X-Sign-In"] == "/sign-in?next=%2Fexecutions&expired=1"
    filtered = POLL | {"HX-Current-URL": "http://testserver/executions?status=FAILED"}
    assert "next=%2Fexecutions%3Fstatus%3DFAILED&" in browser.get("/session", headers=filtered)["X-Sign-In"]
    assert browser.get("/executions")["Location"].startswith("/sign-in?")
    assert AuditEntry.objects.filter(verb="session.expire").count() == 1


def test_46_minutes_with_one_click_do_not(browser: Client) -> None:
    for minute in range(47):
        after(minute)
        background = POLL if minute != 20 else {}
        assert browser.get("/session", headers=background).status_code == 204
    after(66)
    assert browser.get("/session", headers=POLL).status_code == 401


def test_an_idle_page_says_that_the_session_has_ended(browser: Client) -> None:
    after(45)
    response = browser.get("/executions?status=FAILED")
    assert response["Location"] == "/sign-in?next=%2Fexecutions%3Fstatus%3DFAILED&expired=1"
    assert "Your session has ended" in browser.get(response["Location"]).content.decode()


def test_a_form_that_comes_too_late_does_nothing(browser: Client) -> None:
    after(45)
    assert browser.post("/theme", {"theme": "dark"}).status_code == 302  # open to everybody
    assert browser.post("/session")["Location"] == "/sign-in?next=%2F"


def test_twelve_hours_are_the_end_of_any_session(browser: Client) -> None:
    for minute in range(0, 12 * 60, 30):
        after(minute)
        assert browser.get("/session").status_code == 204
    after(12 * 60 - 1)
    assert int(browser.get("/session")[SECONDS_LEFT]) <= 60
    after(12 * 60)
    assert browser.get("/session", headers=POLL).status_code == 401


def test_the_page_learns_which_limit_ends_it_and_when_in_utc(browser: Client) -> None:
    began = browser.session[STARTED]
    idle = datetime.fromtimestamp(began + 45 * 60, UTC)
    assert browser.get("/session", headers=POLL)[END] == f"idle {idle:%Y-%m-%dT%H:%M:%SZ}"
    for minute in range(0, 12 * 60, 30):
        after(minute)
        browser.get("/session")
    after(12 * 60 - 1)
    absolute = f"absolute {datetime.fromtimestamp(began + 12 * 3600, UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert browser.post("/session")[END] == absolute
    assert f'data-x-session-end="{absolute}"' in browser.get("/executions").content.decode()


def test_who_must_sign_in_again_need_not_sign_out_first(browser: Client, user: User) -> None:
    user.set_password("correct-horse-battery")
    user.save()
    browser.force_login(user)
    door = "/sign-in?next=%2Fexecutions%3Fstatus%3DFAILED"
    assert browser.get(door)["Location"] == "/executions?status=FAILED"
    old = browser.session.session_key
    assert 'name="password"' in browser.get(f"{door}&again=1").content.decode()
    typed = {"username": user.username, "password": "correct-horse-battery", "next": "/executions?status=FAILED"}
    assert browser.post(f"{door}&again=1", typed)["Location"] == "/executions?status=FAILED"
    assert browser.session.session_key != old


def test_the_page_learns_how_long_it_has(browser: Client) -> None:
    page = browser.get("/executions")
    assert 2690 <= int(page[SECONDS_LEFT]) <= 2700
    assert 'id="session-warning"' in page.content.decode()
    after(44)
    assert int(browser.get("/session", headers=POLL)[SECONDS_LEFT]) <= 60
    stayed = browser.post("/session")
    assert stayed.status_code == 204
    assert 2700 <= int(stayed[SECONDS_LEFT]) <= 2715
    assert SECONDS_LEFT not in browser.post("/sign-out")


@pytest.mark.parametrize("minutes", [1, 5, 45])
def test_a_session_in_use_is_never_ended(browser: Client, settings: Any, minutes: int) -> None:
    """However people click: just before the limit each time, or quickly and then just before the limit."""
    settings.SESSION_MINUTES = minutes
    limit, at = minutes * 60, 0
    for pause in (25, limit - 1, 1, limit - 1, 2, 7, limit - 1, limit // 180 + 1, limit - 1, 14, limit - 1, *[25] * 20):
        at += min(pause, limit - 1)
        MovedClock.ahead = at
        assert browser.get("/session").status_code == 204, f"after {at} s"
    MovedClock.ahead = at + limit + limit // 180 + 1
    assert browser.get("/session").status_code == 302


@pytest.mark.parametrize("minutes", [1, 5, 45])
def test_polls_keep_no_session_whatever_its_limit(browser: Client, settings: Any, minutes: int) -> None:
    settings.SESSION_MINUTES = minutes
    for at in range(0, minutes * 60, 10):
        MovedClock.ahead = at
        assert browser.get("/session", headers=POLL).status_code == 204
    MovedClock.ahead = minutes * 60 + 1
    assert browser.get("/session", headers=POLL).status_code == 401


def test_activity_is_not_written_at_each_request(browser: Client, django_assert_num_queries: Any) -> None:
    after(1)
    browser.get("/session")
    with django_assert_num_queries(2):  # the session and its user
        browser.get("/session")
    after(2)
    browser.get("/session")
    with django_assert_num_queries(2):
        browser.get("/session")


def test_the_session_on_the_api_ends_too(browser: Client) -> None:
    assert browser.get("/api/v1/executions").status_code == 200
    after(46)
    refusal(browser.get("/api/v1/executions"), 401, "UNAUTHENTICATED")


def test_a_session_without_times_is_no_session(browser: Client) -> None:
    session = browser.session
    del session["seen_at"]
    session.save()
    assert browser.get("/session").status_code == 302


def test_a_deactivated_user_is_out_at_the_next_request(browser: Client, user: User) -> None:
    user.is_active = False
    user.save()
    assert browser.get("/session", headers=POLL).status_code == 401


def test_an_old_cookie_is_dead_after_sign_out(browser: Client, settings: Any) -> None:
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value
    browser.post("/sign-out")
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = cookie
    assert thief.get("/session").status_code == 302


@pytest.mark.django_db
def test_sessions_of_the_version_before_stay_good() -> None:
    before = InDatabase()
    before["seen_at"] = 7
    before.save()
    assert SessionStore(before.session_key)["seen_at"] == 7


@pytest.mark.django_db
def test_a_session_that_was_ended_meanwhile_does_not_come_back() -> None:
    mine = SessionStore()
    mine.create()
    SessionStore(mine.session_key).delete()
    mine["seen_at"] = 7
    with pytest.raises(UpdateError):
        mine.save()
    assert not Session.objects.filter(pk=mine.session_key).exists()
