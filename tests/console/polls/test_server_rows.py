"""The servers of a wave on an open page: a poll sends those that changed, and it then shows what a new page would."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bench.compare import live_run
from executions.models import Execution, ServerRun, WaveRun
from executions.runs.transitions import touch
from executions.states import LaunchStatus, Phase, WaveStatus
from tests.console import world

HX = {"HX-Request": "true"}
ROW = re.compile(r'<tbody id="(server-\d+)"[^>]*>(.*?)</tbody>', re.DOTALL)
BESIDE = re.compile(r'<tbody id="server-\d+" hx-swap-oob="outerHTML:#([\w-]+) \+ \* #server-\d+">')
TOKEN = re.compile(
    r'<input type="hidden" id="([^"]+)" name="rows" value="([^"]+)"(?: hx-swap-oob="outerHTML:#([^"]+)")?>'
)
BLOCK = re.compile(r'<div id="wave-1-rows" class="table-scroll"( hx-preserve)?.*?</div>', re.DOTALL)


class Page:
    """A page on which somebody sees the first wave; does with answers what htmx does."""

    def __init__(self, client: Client, run: Execution, most: int = 0) -> None:
        self.client, self.run = client, run
        self.address = self._next(client.get(reverse("execution", args=[run.pk])).content.decode())
        self.take(self.fresh(most).content.decode())

    def fresh(self, most: int = 0) -> Any:
        return self.client.get(f"{reverse('wave-rows', args=[self.run.pk, 0])}?most={most}", headers=HX)

    def take(self, html: str) -> None:
        self.rows = dict(ROW.findall(html))
        self.known, self.token, _ = TOKEN.findall(html)[0]

    def _next(self, html: str) -> str:
        found = re.search(r'hx-get="([^"]+/live[^"]*)"', html)
        return found[1].replace("&amp;", "&") if found else ""

    def ask(self) -> Any:
        return self.client.get(f"{self.address}&rows={self.token}", headers=HX)

    def poll(self) -> str:
        """What was sent of the rows."""
        answer = self.ask()
        assert answer.status_code == 200
        return self.swap(answer.content.decode())

    def swap(self, html: str) -> str:
        self.address = self._next(html)
        html = re.sub(BLOCK, lambda found: "" if found[1] else found[0], html)
        if whole := BLOCK.search(html):
            self.take(whole[0])
            return whole[0]
        for known, token, before in TOKEN.findall(html):
            if before == self.known:
                self.known, self.token = known, token
        rows = dict(ROW.findall(html))
        beside = BESIDE.findall(html)
        assert len(beside) == len(rows)
        if self.known in beside:
            assert rows.keys() <= self.rows.keys()
            self.rows |= rows
        return "".join(rows.values())

    def is_true(self) -> bool:
        """Whether it shows, in that order, what somebody sees who opens the wave now."""
        most = int(self.token.split(".")[1])
        return _still(list(self.rows.items())) == _still(ROW.findall(self.fresh(most).content.decode()))


def _still(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, re.sub(r"<time[^>]*>[^<]*</time>", "", html)) for key, html in rows]


def change(run: Execution, at: int = 1, **columns: object) -> None:
    wave = WaveRun.objects.get(execution=run, number=0)
    ServerRun.objects.filter(wave=wave, position=at).update(**columns)
    touch(run, timezone.now(), [wave])


@pytest.mark.both
def test_only_a_server_that_changed_is_sent(chief: Client) -> None:
    run = live_run()
    page = Page(chief, run)
    assert len(page.rows) == 100
    for columns in (
        {"phase": Phase.CONVERSION},
        {"phase_note": "attempt 2 of 3"},
        {"used_previous_snapshot": True},
        {"recovery_instance_id": "i-0123456789abcdef0", "instance_check": "IMPAIRED"},
        {"launch_status": LaunchStatus.LAUNCHED, "launched_at": timezone.now()},
        {"error": "Something AWS said."},
    ):
        change(run, **columns)
        sent = page.poll()
        assert sent.count('scope="row"') == 1, columns
        assert "app-0-1<" in sent
        assert page.is_true(), columns
    assert page.ask().status_code == 204


def test_one_that_fails_comes_first(chief: Client) -> None:
    run = live_run()
    page = Page(chief, run)
    change(run, at=70, launch_status=LaunchStatus.FAILED, error="No capacity")
    assert "app-0-70<" in page.poll()
    assert "app-0-70<" in next(iter(page.rows.values()))
    assert page.is_true()


def test_what_a_row_shows_of_its_wave_is_news_of_each(chief: Client) -> None:
    run = live_run()
    page = Page(chief, run)
    WaveRun.objects.filter(execution=run, number=0).update(started_at=timezone.now() - timedelta(hours=1))
    change(run)
    assert page.poll().count('scope="row"') == 100
    assert page.is_true()


def test_rows_that_nobody_remembers_are_all_sent(chief: Client) -> None:
    run = live_run()
    page = Page(chief, run)
    cache.clear()
    change(run, phase=Phase.CONVERSION)
    assert page.poll().count('scope="row"') == 100
    assert page.is_true()
    for nonsense in ("", "x", "0.100.1.", "0.100.1.zzzzzzzzzzzzzzzz", "99.100.1.0123456789abcdef", "9" * 400):
        page.token = nonsense
        assert page.ask().status_code in (200, 204)


def test_rows_that_come_late_are_put_right_by_the_next_poll(chief: Client) -> None:
    """Read before a change, they reach the page after a poll that told of it."""
    run = live_run()
    page = Page(chief, run)
    late = page.fresh().content.decode()
    change(run, phase=Phase.CONVERSION)
    page.poll()
    page.take(late)
    assert not page.is_true()
    assert "Converting" in page.poll()
    assert page.is_true()
    assert page.ask().status_code == 204


def test_an_answer_for_rows_that_were_replaced_meanwhile_does_not_pass_for_news_of_them(chief: Client) -> None:
    """Somebody asks for more rows while a poll is under way that knows of fewer."""
    run = live_run()
    wave = run.waves.get(number=0)
    ServerRun.objects.bulk_create(
        ServerRun(wave=wave, job=wave.jobs.get(), position=at, source_server_id=f"s-5{at:016x}", hostname=f"more-{at}")
        for at in range(100, 160)
    )
    page = Page(chief, run)
    assert "60 more" in page.fresh().content.decode()
    change(run, at=1, phase=Phase.CONVERSION)
    under_way = page.ask().content.decode()
    change(run, at=1, phase=Phase.LAUNCH)
    page.take(page.fresh(most=200).content.decode())
    assert len(page.rows) == 160
    page.swap(under_way)
    assert page.is_true(), "what came meanwhile is newer"
    change(run, at=150, phase=Phase.CONVERSION)
    page.poll()
    assert page.is_true()


def test_a_wave_that_changes_leaves_the_page_its_rows(chief: Client) -> None:
    run = live_run()
    page = Page(chief, run)
    WaveRun.objects.filter(execution=run, number=0).update(status_message="AWS is slow.")
    change(run)
    html = page.ask().content.decode()
    assert "AWS is slow." in html
    assert '<div id="wave-1-rows" class="table-scroll" hx-preserve>' in html
    assert not ROW.findall(html)


def test_without_javascript_the_address_says_which_wave_is_seen(console: Client) -> None:
    run = live_run()
    address = reverse("execution", args=[run.pk])
    html = console.get(address).content.decode()
    assert not ROW.findall(html)
    assert f'<a href="{address}?wave=3#wave-4">Show 100 servers</a>' in html
    html = console.get(f"{address}?wave=3").content.decode()
    assert len(ROW.findall(html)) == 100
    assert html.count(">app-3-") == 100
    plain = console.get(f"{reverse('wave-rows', args=[run.pk, 3])}?most=200")
    assert plain["Location"] == f"{address}?wave=3&most=200#wave-4"
    assert console.get(reverse("wave-rows", args=[run.pk, 77]), headers=HX).status_code == 404
    for nonsense in ("x", "-1", "9" * 30, "77"):
        assert console.get(f"{address}?wave={nonsense}&most={nonsense}").status_code == 200


def test_a_small_run_has_its_rows_from_the_beginning_and_its_current_wave_before_others(console: Client) -> None:
    small = world.paused("Payments")
    assert len(ROW.findall(console.get(f"/executions/{small.pk}").content.decode())) == 4
    run = world.start(world.plan("Orders", sizes=(30, 30), pause=None))
    first, second = run.waves.all()
    world.launch(first)
    second.status, second.started_at = WaveStatus.LAUNCHING, timezone.now()
    second.save()
    html = console.get(f"/executions/{run.pk}").content.decode()
    assert {"tier 1" in each for each in re.findall(r'scope="row"><a[^>]*>([^<]+)<', html)} == {False}
    assert len(ROW.findall(html)) == 30


@pytest.mark.both
def test_the_rows_of_many_small_waves_are_read_at_once(console: Client) -> None:
    run = live_run(waves=12, servers=2)
    with CaptureQueriesContext(connection) as asked:
        html = console.get(f"/executions/{run.pk}").content.decode()
    assert len(ROW.findall(html)) == 24
    assert len([each for each in asked if "hostname" in each["sql"]]) == 1
