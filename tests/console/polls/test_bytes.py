"""What the pages of many servers send, and what a poll does."""

import gzip
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.compare import Watcher, live_run
from executions.models import ServerRun
from executions.runs.transitions import touch

pytestmark = pytest.mark.slow


def test_a_page_of_ten_waves_is_small_and_a_poll_sends_one_server(client: Client, chief: Client) -> None:
    run = live_run()
    page = chief.get(reverse("execution", args=[run.pk])).content.decode()
    assert len(page) <= 60_000
    assert len(re.findall(r"<[a-z]", page)) <= 2_000
    chief.defaults["HTTP_ACCEPT_ENCODING"] = "gzip"
    watcher = Watcher(chief, run)
    watcher.poll()  # whether an engine runs
    same = watcher.poll()
    assert (same.status_code, same.content) == (204, b"")
    ServerRun.objects.filter(hostname="app-0-7").update(phase_note="attempt 2")
    touch(run, timezone.now(), [run.waves.get(number=0)])
    news = watcher.poll()
    assert news.headers["Content-Encoding"] == "gzip"
    assert len(news.content) <= 2_500
    html = gzip.decompress(news.content)
    assert html.count(b'scope="row"') == 1
    assert len(html) <= 4_800


def test_the_page_of_a_run_of_four_thousand_servers_is_small(chief: Client) -> None:
    run = live_run(servers=400)
    page = chief.get(reverse("execution", args=[run.pk])).content.decode()
    assert len(page) <= 100_000
    assert len(re.findall(r"<[a-z]", page)) <= 2_000
