"""What a poll of a large run's page sends."""

import pytest
from django.test import Client
from django.urls import reverse

from bench.compare import live_run
from executions.models import Execution
from executions.pacemaker import is_alive

pytestmark = pytest.mark.slow


def test_one_wave_of_a_hundred_servers_that_changed_takes_five_kilobytes(chief: Client) -> None:
    run = live_run()
    address = reverse("execution-live", args=[run.pk])
    seen, alive = run.revision, int(is_alive())
    headers = {"hx-request": "true", "accept-encoding": "gzip"}
    same = chief.get(f"{address}?rev={seen}&engine={alive}", headers=headers)
    assert (same.status_code, same.content) == (204, b"")
    Execution.objects.filter(pk=run.pk).update(revision=seen + 1)
    run.waves.filter(number=0).update(revision=seen + 1)
    news = chief.get(f"{address}?rev={seen}&engine={alive}", headers=headers)
    assert news.headers["Content-Encoding"] == "gzip"
    assert len(news.content) < 5_000
