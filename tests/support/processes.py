"""Real engines and web servers, as processes of their own, on the database of the running test."""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db import connection
from django.db.models import F

from audit.models import AuditEntry
from contract.clock import db_clock
from executions.models import Execution, LaunchJob, Place, WaveRun

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """The test database, as an engine of its own must be told of it."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    host = config["HOST"].replace("/", "%2F")
    return f"postgres://{config['USER']}:{config['PASSWORD']}@{host}:{config['PORT']}/{config['NAME']}"


def end_other_sessions() -> None:
    """What killed processes and ended threads of earlier tests may have left open."""
    if connection.vendor != "postgresql":
        gc.collect()  # closes the files that ended threads had open
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def children(pid: int) -> list[int]:
    """The pids of a process's children, oldest first; none when it is gone."""
    try:
        return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(pid: int) -> list[int]:
    """A process and everything below it."""
    return [pid, *(each for child in children(pid) for each in descendants(child))]


@dataclass
class Engine:
    """One running `manage.py engine`."""

    process: subprocess.Popen[str]

    def tree(self) -> list[int]:
        """The pids of the engine and everything below it, the engine first."""
        return descendants(self.process.pid)

    def kill_tree(self) -> None:
        """SIGKILL for every process of the engine at once, as when a host loses power."""
        for pid in self.tree():
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; answers the exit status."""
        self.process.terminate()
        return self.process.wait(40)


@contextmanager
def running_engine(prefix: Sequence[str] = (), **environment: str) -> Iterator[Engine]:
    """A real engine, polling twice a second unless `environment` says otherwise; killed at the end if it still runs.

    `prefix` is a command that runs it, such as `faketime`.
    """
    settings = {"DRSORCH_POLL_SECONDS": "0.5", "DRSORCH_WORKERS": "2", "DATABASE_URL": database_url(), **environment}
    process = subprocess.Popen(
        [*prefix, sys.executable, "manage.py", "engine"],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )
    engine = Engine(process)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if "Engine running" not in line:
            raise RuntimeError(f"the engine did not start: {line!r}")
        yield engine
    finally:
        if process.poll() is None:
            engine.kill_tree()
        if process.stdout:
            process.stdout.close()


def eventually(condition: Callable[[], bool], seconds: float = 90, what: str = "it") -> None:
    """Wait until `condition` holds, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)


@contextmanager
def child_at(point: str, signal_name: str = "SIGKILL", **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that sweeps until it reaches a named point; it is killed or frozen there when this yields."""
    settings = {"DRSORCH_POLL_SECONDS": "0.2", "DATABASE_URL": database_url(), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.failpoints", point, signal_name],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while "reached" not in process.stdout.readline():
            if process.poll() is not None:
                raise AssertionError(f"the child ended before it came to “{point}”")
        if signal_name == "SIGKILL":
            process.wait(10)
        else:
            eventually(lambda: state_of(process.pid) == "T", what="the freeze")
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def state_of(pid: int) -> str:
    """The state letter of a process, such as S, T or Z; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def free_leases() -> None:
    """Let a killed engine's leases end now, instead of in a minute."""
    Execution.objects.exclude(claim=None).update(next_step_at=F("next_step_at") - timedelta(seconds=60))


@contextmanager
def web() -> Iterator[str]:
    """gunicorn as it is deployed, on a free port and the database of this test; answers the API's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "drsorch_site.wsgi", "--config", "deploy/gunicorn.conf.py"]
    command += [
        "--bind",
        address,
        "--workers",
        "1",
        "--threads",
        "4",
        "--log-level",
        "error",
        "--graceful-timeout",
        "5",
    ]
    environment = {**os.environ, "DATABASE_URL": database_url()}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        process.wait(30)


def how_far() -> list[object]:
    """What only ever grows while runs go on."""
    told = LaunchJob.objects.exclude(job_id="")
    ended = LaunchJob.objects.filter(status__in=["COMPLETED", "REJECTED", "WITHDRAWN"])
    waves = WaveRun.objects.exclude(ended_at=None)
    return [Execution.objects.final().count(), waves.count(), told.count(), ended.count()]


def story(run: Execution) -> str:
    """What an unfinished run waits for, for whoever must find out why."""
    now, due = db_clock(), run.next_step_at
    jobs = LaunchJob.objects.filter(wave__execution=run).exclude(status__in=["COMPLETED", "WITHDRAWN", "REJECTED"])
    told = [
        f"{job.status} {job.refused_as or job.job_id} in {(job.not_before or now) - now}: {job.wave.status_message}"
        for job in jobs.select_related("wave")
    ]
    places = list(Place.objects.values_list("next_poll_at", "jobs_running", "quota_jobs", "error"))
    return f"{run.status}, held {run.claim}, due in {due and due - now}, {run.aws_error!r}, {told}, {places}"


def story_of_launch(pk: str, done: Mapping[str, int]) -> str:
    """What became of a launch that was not sent, or whose DRS job nobody knows."""
    job = LaunchJob.objects.select_related("wave__execution").filter(pk=pk).first()
    if job is None:
        return f"{pk}: no launch of ours, sent {done.get(pk, 0)} times"
    wave, run = job.wave, job.wave.execution
    servers = list(wave.servers.values_list("launch_status", "error_code", "error"))
    return (
        f"{pk}: sent {done.get(pk, 0)} times, {job.status} {job.refused_as or job.job_id}, made {job.created_at},"
        f" wave {wave.status} {wave.error_code} {wave.status_message!r}, run {run.status} {run.error_code}, {servers}"
    )


def taken_by_servers() -> set[str]:
    """Launches whose job was known by its servers alone."""
    entries = AuditEntry.objects.filter(verb="launch.adopted", detail__foundBy="servers")
    return set(entries.values_list("detail__launch", flat=True))
