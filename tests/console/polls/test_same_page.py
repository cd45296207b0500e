"""After a poll an open page shows what somebody sees who opens it then: head, waves, rows, events, engine."""

import re
import uuid
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.compare import live_run
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, Phase, WaveStatus
from tests.console import world

HX = {"HX-Request": "true"}
VOID = {"input", "br", "meta", "link", "img", "hr"}
OWN = {"hx-swap-oob", "hx-preserve", "data-now"}  # how a part comes to the page, and when it was made
PART = re.compile(r"live|engine|feed|wave-\d+|server-\d+")
LEFT_OUT = re.compile(r"wave-\d+-rows|rto")  # rows are parts themselves; the bar says how late it is
Part = list[tuple[str, ...]]


class Parts(HTMLParser):
    """The parts of a page by their ids, each as all that is in it, but for the rows of its servers, which are parts
    themselves, and for what a clock moves on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found, self.tokens = dict[str, Part](), dict[str, str]()
        self._open = list[
            tuple[str, str, bool]
        ]()  # tag, the part that it begins, whether nobody compares what is in it
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs if name not in OWN}
        key = given.get("id", "")
        if given.get("name") == "rows":
            self.tokens[key] = given["value"]
        if given.get("name") == "csrfmiddlewaretoken":
            given["value"] = ""
        begins = key if PART.fullmatch(key) else ""
        if begins:
            self.found[begins] = []
        self._tell(tag, *(f"{name}={value}" for name, value in given.items()), inside=begins)
        if tag not in VOID:
            self._open.append((tag, begins, bool(LEFT_OUT.fullmatch(key)) or tag == "time"))

    def handle_endtag(self, tag: str) -> None:
        while tag not in VOID and self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            self._tell("", " ".join(data.split()))

    def _tell(self, *event: str, inside: str = "") -> None:
        for at in range(len(self._open) - 1, -1, -1):
            _, begins, is_left_out = self._open[at]
            if inside or is_left_out:
                break
            inside = begins
        if inside:
            self.found[inside].append(event)


class Open:
    """An open page: swaps what it is sent as htmx does."""

    address = ""

    def __init__(self, client: Client, run: Execution) -> None:
        self.client, self.page = client, reverse("execution", args=[run.pk])
        self.take(client.get(self.page).content.decode())

    def take(self, html: str) -> None:
        came = Parts(html)
        self.shown = {**getattr(self, "shown", {}), **came.found}
        self.address = html_address(html) or self.address
        before = re.findall(r'hx-swap-oob="outerHTML:#([^"]+)"', html)
        kept = getattr(self, "tokens", {}) if before else {}
        self.tokens = {**{key: value for key, value in kept.items() if key not in before}, **came.tokens}

    def poll(self) -> None:
        rows = "".join(f"&rows={token}" for token in self.tokens.values())
        answer = self.client.get(self.address + rows, headers=HX)
        assert answer.status_code in (200, 286)
        self.take(answer.content.decode())

    def differs(self) -> list[str]:
        """What is another on a page that is opened now."""
        now = Parts(self.client.get(self.page).content.decode()).found
        return [key for key in now | self.shown if now.get(key) != self.shown.get(key)]


def html_address(html: str) -> str:
    found = re.search(r'hx-get="([^"]+/live[^"]*)"', html)
    return found[1].replace("&amp;", "&") if found else ""


@pytest.mark.both
def test_a_page_that_polls_shows_what_a_new_page_shows(chief: Client) -> None:
    run = live_run(3, 4)
    page, now = Open(chief, run), timezone.now()
    assert {"live", "wave-1", "wave-3"} < page.shown.keys()
    assert sum(key.startswith("server-") for key in page.shown) == 12
    first, second, third = run.waves.all()
    servers = ServerRun.objects.filter(wave=first).order_by("position")

    def change(what: str, *waves: WaveRun, **columns: object) -> None:
        world.change(run, *waves, **columns)
        page.poll()
        assert page.differs() == [], what

    servers.filter(position=1).update(phase=Phase.CONVERSION, phase_note="attempt 2")
    change("a phase", first)
    servers.filter(position=0).update(launch_status=LaunchStatus.LAUNCHED, phase=Phase.DONE, launched_at=now)
    change("one is up", first)
    change("a pause was asked for", pause_requested_at=now)
    change("a target", rto_minutes=9)
    JobEvent.objects.create(job=first.jobs.get(), at=now, event="LAUNCH_START", digest=uuid.uuid4().hex)
    change("an event", first)
    servers.filter(position=2).update(launch_status=LaunchStatus.FAILED, phase=Phase.DONE, error="No <b>room</b>")
    LaunchJob.objects.filter(wave=first).update(status=JobStatus.COMPLETED, seen_at=now)
    WaveRun.objects.filter(pk=first.pk).update(status=WaveStatus.FAILED, ended_at=now, error_message="One failed")
    WaveRun.objects.filter(pk=second.pk).update(status=WaveStatus.PAUSED, started_at=None, paused_at=now)
    change("a wave failed, the next one waits", first, second, status=ExecutionStatus.PAUSED, pause_requested_at=None)
    WaveRun.objects.filter(pk=second.pk).update(status=WaveStatus.LAUNCHING, started_at=now, resumed_at=now)
    change("it goes on", second, status=ExecutionStatus.LAUNCHING)
    change("AWS is silent", failing_since=now - timedelta(minutes=3), aws_error="x: y")
    ServerRun.objects.filter(wave__in=[second, third]).update(launch_status=LaunchStatus.LAUNCHED, launched_at=now)
    done = {"status": WaveStatus.COMPLETED, "ended_at": now}
    WaveRun.objects.filter(pk__in=[second.pk, third.pk]).update(**done)
    over = {"status": ExecutionStatus.PARTIAL, "ended_at": now, "next_step_at": None, "failing_since": None}
    change("it is over", first, second, third, **over)
