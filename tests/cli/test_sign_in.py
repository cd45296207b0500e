"""`drsorch login` through a certified identity provider: real processes, a real server, and a browser that is one."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from tests.cli import browser
from tests.cli.program import Program, end
from tests.identity.conftest import use_provider
from tests.identity.provider.hosted_pages import HostedPages, free_port, hosted_pages

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
BROWSER = f"{sys.executable} {browser.__file__} %s"


@pytest.fixture(scope="module")
def pages() -> Iterator[HostedPages]:
    with hosted_pages("http://testserver", free_port()) as running:
        yield running


@pytest.fixture
def program(pages: HostedPages, live_server: LiveServer, settings: Any, tmp_path: Path) -> Program:
    use_provider(settings, pages.provider())
    pages.control(fault="", disabled=[], rotate=False, groups={"alice": ["drsorch-operator"]})
    return Program(tmp_path, live_server.url, "", {"BROWSER": BROWSER})


def login(program: Program, pages: HostedPages, **environment: str) -> Any:
    return program.run("login", program.url, "--port", str(pages.cli_port), "--json", **environment)


def kept(program: Program) -> tuple[Path, dict[str, Any]]:
    path = program.folder / ".config" / "drsorch" / "login.json"
    return path, json.loads(path.read_text())["session"]


def expire(program: Program, **changes: Any) -> None:
    """An hour goes by."""
    path, session = kept(program)
    path.write_text(json.dumps({"url": program.url, "session": session | {"expires": time.time()} | changes}))


def test_a_person_signs_in_and_stays_signed_in(program: Program, pages: HostedPages) -> None:
    ended = login(program, pages)
    assert (ended.code, ended.record["name"]) == (0, "alice@example.com"), ended
    path, first = kept(program)
    assert path.stat().st_mode & 0o777 == 0o600
    for secret in ("id_token", "refresh_token"):
        assert first[secret] not in ended.out + ended.err
    assert program.ok("runs")["items"] == []
    assert program.ok("doctor", code=3)["error"] == "FORBIDDEN"  # an operator's groups come with the token
    # An hour later two commands at once need a new token, and the provider takes each refresh token once.
    pages.control(rotate=True)
    expire(program)
    both = [program.begin("runs", "--json") for _ in range(2)]
    assert [end(each).code for each in both] == [0, 0]
    _, second = kept(program)
    assert path.stat().st_mode & 0o777 == 0o600
    # Within a second of the first one the new ID token is the same, letter by letter.
    assert (second["refresh_token"] != first["refresh_token"], second["subject"]) == (True, "alice")
    # A provider that is silent for a moment stops nobody while the token is good, and is told afterwards.
    pages.control(fault="500")
    expire(program, expires=time.time() + 30)
    assert program.run("runs").code == 0
    expire(program)
    silent = program.run("runs")
    assert (silent.code, "cannot be renewed" in silent.err) == (4, True), silent
    # Whoever is switched off there is out, and is told what to do.
    pages.control(fault="", disabled=["alice"])
    over = program.run("runs")
    assert (over.code, f"drsorch login {program.url}" in over.err) == (2, True), over
    pages.control(disabled=[])


def test_signing_out_has_the_provider_forget(program: Program, pages: HostedPages) -> None:
    assert login(program, pages).code == 0
    path, session = kept(program)
    assert program.ok("login", "--forget") == {"forgotten": True}
    assert not path.exists()
    path.write_text(json.dumps({"url": program.url, "session": session | {"expires": 0}}))
    path.chmod(0o600)
    assert "has ended the sign-in" in program.run("runs").err


def test_what_other_pages_of_the_browser_bring_is_not_taken(program: Program, pages: HostedPages) -> None:
    here = f"http://localhost:{pages.cli_port}"
    strangers = f"{here}/ {here}/callback?code=x {here}/callback?code=x&state=y"
    ended = login(program, pages, FIRST_GO_TO=strangers)
    assert ended.code == 0, ended
    assert re.findall(r" (\d{3})$", ended.err, re.MULTILINE) == ["404", "400", "400"]
    refused = login(program, pages, REFUSE="1")
    assert (refused.code, refused.record["error"]) == (3, "REFUSED"), refused
    assert "access_denied" in refused.record["message"]


@pytest.mark.parametrize("fault", ["nonce", "audience", "empty"])
def test_an_answer_that_cannot_be_trusted_is_not_kept(program: Program, pages: HostedPages, fault: str) -> None:
    pages.control(fault=fault)
    ended = login(program, pages)
    assert ended.code == 1, ended
    assert "cannot be used" in ended.record["message"]
    assert not (program.folder / ".config" / "drsorch" / "login.json").exists()
    pages.control(fault="")


def test_a_machine_without_a_browser_shows_a_code(program: Program, pages: HostedPages) -> None:
    # On a terminal: `script` gives the process one.
    command = f"{sys.executable} -m drsorch_cli login {program.url}"
    process = subprocess.Popen(
        ["script", "--quiet", "--return", "--command", command, os.devnull],
        cwd=program.folder, env=program.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    told = ""
    while not (shown := re.search(r"https?://\S+user_code=\S+", told)):
        told += process.stdout.readline()
    assert "Sign-in Success" in browser.sign_in(shown[0]).text
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, told + out
    assert "as alice@example.com" in out
    assert program.run("runs").code == 0


def test_where_nobody_can_sign_in_so_a_token_is_asked_for(
    pages: HostedPages, live_server: LiveServer, tmp_path: Path
) -> None:
    program = Program(tmp_path, live_server.url, "")
    refused = login(program, pages)
    assert (refused.code, "takes a token" in refused.record["message"]) == (2, True), refused
