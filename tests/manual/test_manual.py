"""The documentation as chapters of the console: all of it is there, and no link of it leads nowhere."""

import re
from html import unescape

import pytest
from django.test import Client

from manual.chapters import contents, files, read
from tests.support.api_client import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(make_user("viewer"))
    return client


def test_every_chapter_is_listed_and_every_link_leads_somewhere(reader: Client) -> None:
    assert {each["name"] for each in contents()} == set(files()), "a chapter that docs/README.md does not list"
    pages = {name: reader.get(f"/manual/{name}").content.decode() for name in files()}
    dead = []
    for name, html in pages.items():
        article = html[html.index("<article") :]
        for target in map(unescape, re.findall(r'(?:href|src)="([^"]*)"', article)):
            address, _, fragment = target.partition("#")
            there = address.removeprefix("/manual").removeprefix("/") or (name if target.startswith("#") else "README")
            if address.startswith(("http://", "https://")):
                continue
            if address.endswith(".png"):
                dead += [] if reader.get(address)["Content-Type"] == "image/png" else [target]
            elif there not in pages or (fragment and f'id="{fragment}"' not in pages[there]):
                dead.append(f"{name}: {target}")
    assert dead == []


def test_pages_that_send_people_to_the_runbook_find_its_part(reader: Client) -> None:
    html = reader.get("/").content.decode()  # no engine runs in this test
    assert '<a href="/manual/runbook#engine-silent">' in html
    assert 'id="engine-silent"' in reader.get("/manual/runbook").content.decode()
    assert '<a href="/api/v1/docs"' in html.replace('class="button" ', "")
    assert "/admin/" not in html, "nothing for a viewer"


@pytest.mark.parametrize("address", ["/manual/nothing", "/manual/field", "/manual/images/..%2f..%2fmanage.py"])
def test_what_is_no_chapter_is_not_found(reader: Client, address: str) -> None:
    assert reader.get(address).status_code == 404


def test_strangers_are_asked_to_sign_in(client: Client) -> None:
    assert client.get("/manual/runbook")["Location"].startswith("/sign-in")


def test_raw_html_is_text() -> None:
    assert "&lt;console&gt;" in read("sign-in").html
