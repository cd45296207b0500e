"""Page, API and engine name the same wave as the current one, at every combination of statuses."""

from datetime import UTC, datetime
from itertools import product

import pytest
from django.test import Client

from executions.models import Execution, WaveRun
from executions.runs.claim import _wave_view
from executions.runs.current_wave import current_wave
from executions.runs.decisions import RunView
from executions.states import WAVE_FINAL, ExecutionStatus, WaveStatus
from tests.support.api_client import Api, answer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rows(*states: WaveStatus) -> list[WaveRun]:
    return [WaveRun(number=number, status=state) for number, state in enumerate(states)]


@pytest.mark.parametrize("states", list(product(WaveStatus, repeat=2)), ids="-".join)
def test_the_engine_is_at_the_wave_of_everybody_else(states: tuple[WaveStatus, ...]) -> None:
    waves = rows(*states)
    views = RunView(ExecutionStatus.RUNNING, tuple(_wave_view(wave, None) for wave in waves))
    found = current_wave(waves)
    assert (views.current and views.current.number) == (found and found.number)
    assert (found is None) == (set(states) <= WAVE_FINAL)


@pytest.mark.django_db
@pytest.mark.parametrize(("ran", "shown"), [(0, None), (1, 0), (2, 1)])
def test_of_a_run_that_is_over_page_and_api_name_the_last_wave_that_ran(
    admin: Api, admin_client: Client, ran: int, shown: int | None
) -> None:
    run = Execution.objects.create(plan_name="P", kind="DRILL", status="CANCELLED", total_waves=2, ended_at=NOW)
    for wave in rows(WaveStatus.SKIPPED, WaveStatus.SKIPPED):
        wave.execution, wave.ended_at, wave.started_at = run, NOW, NOW if wave.number < ran else None
        wave.save()
    assert answer(admin.get(f"/executions/{run.pk}"))["currentWave"] == shown
    page = admin_client.get(f"/executions/{run.pk}").content.decode()
    assert (f"wave {shown + 1} of 2" in page) if shown is not None else ("of 2 ·" not in page)
