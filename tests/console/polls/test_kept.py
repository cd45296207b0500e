"""What a process keeps for polls is what it would read or make anew."""

import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from bench.compare import live_run
from contract.storage.file_cache import WRITES, FileCache
from executions.console.live_page import recent_runs
from executions.console.live_page.recent_runs import RecentNews
from executions.console.live_page.server_rows import KnownRows
from executions.console.run_views import _read
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs.server_counts import progress_of
from executions.states import InstanceState, LaunchStatus, Phase

CHANGES: list[dict[str, Any]] = [
    {"phase_note": "attempt 2"},
    {"launch_status": LaunchStatus.FAILED, "phase": Phase.DONE, "error": "No capacity"},
    {"launched_at": timezone.now()},
    {"launched_at": None},
    {"findings": [{"severity": "BLOCKING", "message": "No disk"}]},
    {"findings": []},
    {
        "launch_status": LaunchStatus.LAUNCHED,
        "launched_at": timezone.now(),
        "recovery_instance_state": InstanceState.STOPPED,
    },
    {"used_previous_snapshot": True, "excluded": {"by": "ann", "reason": "not needed"}},
    {"superseded": True},
    {"superseded": False},
    {"position": 40},
]


@pytest.mark.django_db
def test_rows_that_are_known_are_those_that_a_new_process_reads() -> None:
    run = live_run(2, 5)
    wave = WaveRun.objects.get(execution=run, number=0)
    known, shared = KnownRows(most=8), (False, False, wave.started_at, None)
    server = ServerRun.objects.filter(wave=wave)[2]
    for change in ({}, *CHANGES, {}):
        ServerRun.launches.filter(pk=server.pk).update(**change)
        for most in (100, 3):
            assert known.rows(wave.pk, most, shared) == KnownRows(most=8).rows(wave.pk, most, shared)
    ended = (*shared[:3], timezone.now())
    assert known.rows(wave.pk, 100, ended) == KnownRows(most=8).rows(wave.pk, 100, ended)
    ServerRun.launches.filter(pk=server.pk).delete()
    assert len(known.rows(wave.pk, 100, ended)) == 4


@pytest.mark.django_db
def test_a_run_as_polls_read_it_is_the_run() -> None:
    run = live_run(3, 4)
    for change in ({}, *CHANGES):
        ServerRun.launches.filter(wave__execution=run, wave__number=1, source_server_id__endswith="2").update(**change)
        LaunchJob.objects.filter(wave__execution=run, wave__number=2).update(error_code=f"E{len(change)}")
        WaveRun.objects.filter(execution=run, number=0).update(status_message=str(change)[:50])
        read, fresh = _read(run.pk), Execution.objects.with_jobs().get(pk=run.pk)
        assert _values(read.execution) == _values(fresh)
        assert list(map(_values, read.execution.waves.all())) == list(map(_values, fresh.waves.all()))
        for ours, theirs in zip(read.execution.waves.all(), fresh.waves.all(), strict=True):
            assert list(map(_values, ours.jobs.all())) == list(map(_values, theirs.jobs.all()))
        assert read.progress == progress_of([fresh])


def _values(row: Any) -> dict[str, Any]:
    left_out = {"_state", "_prefetched_objects_cache", "plan_copy", "phase_times"}
    return {name: value for name, value in vars(row).items() if name not in left_out}


def test_news_are_made_once_for_who_shows_the_same_and_anew_after_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    news, made = RecentNews(), list[str]()

    def of(text: str) -> tuple[str, str]:
        made.append(text)
        return text, text

    for key in ("a", "a", "b", "a"):
        assert news.get(key, lambda key=key: of(key)) == (key, key)  # type: ignore[misc]
    assert made == ["a", "b"]
    now = time.monotonic() + recent_runs.NEWS_SECONDS
    monkeypatch.setattr(recent_runs, "monotonic", lambda: now)
    assert news.get("a", lambda: of("new")) == ("new", "new")


def test_files_are_counted_now_and_then_and_stay_few(tmp_path: Path) -> None:
    cache = FileCache(str(tmp_path), {"OPTIONS": {"MAX_ENTRIES": 60}, "TIMEOUT": 60})
    sizes = []
    for each in range(6 * WRITES):
        cache.set(str(each), each)
        sizes.append(len(list(tmp_path.iterdir())))
    assert max(sizes) < 60 + WRITES
    assert cache.get(str(6 * WRITES - 1)) == 6 * WRITES - 1
