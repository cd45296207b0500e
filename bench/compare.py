"""What one request costs: processor time and bytes on the wire, beside what a stored baseline says it cost.

python -m bench.compare                                    # on SQLite; PostgreSQL: script/with-postgres python -m …
python -m bench.compare --baseline bench/baseline.json     # before and after
python -m bench.compare --store bench/baseline.json        # this becomes what is compared with
python -m bench.compare --only groups --profile 40         # rows with that in their names, and where their time goes

Pages need what `manage.py collectstatic` has collected. Processor time is of the web's thread alone, by Django's test
client, not of the database server: wall time says more of the neighbours on a machine than of the product.
"""

import argparse
import cProfile
import gzip
import json
import os
import pstats
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.lists import ROOT, environment
from bench.measures import machine, options_of

if TYPE_CHECKING:
    from executions.models import Execution

ROUNDS = 25
ASKED = {  # milliseconds of processor time, and bytes on the wire, of issue 19
    "1,000 groups × 4": (40, 150_000),
    "500 plans × 2": (60, None),
    "first 50 of 10,000 runs": (20, None),
    "one run 10 × 100": (25, None),
    "the same run, unchanged": (5, 0),
    "start of 3 × 4, without DRS": (20, 0),
    "a poll, nothing new": (3, 0),
    "a poll, one server of 100 changed": (6, 5_000),
    "the same, the next who asks": (6, 5_000),
}
Row = tuple[float, int]


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="rows whose names have this")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="so many lines of each row's profile")
    options = parser.parse_args()
    if options.store and options.only:
        parser.error("--store is for all rows")
    if "DJANGO_SECRET_KEY" in os.environ:
        compare(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(scratch) | {"DRSORCH_CACHE_DIR": f"{scratch}/cache", "DJANGO_DEBUG": "0"}
        subprocess.run([sys.executable, "-m", "bench.compare", *sys.argv[1:]], cwd=ROOT, env=env, check=True)


def compare(options: argparse.Namespace) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    import drsorch_site.wsgi  # noqa: F401  # as the web process starts, with what it does to the collector

    measured: dict[str, Row] = {}
    for name, measure in rows():
        if options.only and all(text not in name for text in options.only):
            continue
        measured[name] = measure()
        if options.profile:
            profile(name, measure, options.profile)
    before: dict[str, Row] = json.loads(options.baseline.read_text()) if options.baseline else {}
    print(machine())
    print(f"{'':34}{'before':>18}{'now':>18}{'asked':>18}")
    for name, row in measured.items():
        print(f"{name:34}{_told(before.get(name)):>18}{_told(row):>18}{_told(ASKED[name]):>18}")
    if options.store:
        options.store.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n")


def profile(name: str, measure: Callable[[], Row], lines: int) -> None:
    """Where the time of a row goes, by the time within each function and what it calls."""
    profiler = cProfile.Profile()
    profiler.runcall(measure)
    print(name)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(lines)


def _told(row: Any) -> str:
    if row is None:
        return "–"
    return f"{row[0]:.1f} ms" + ("" if row[1] is None else f" {row[1] / 1000:.1f} kB")


def rows() -> Iterator[tuple[str, Callable[[], Row]]]:
    """What each row measures, when it is called. The last changes its run."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client
    from django.urls import reverse

    from bench.seed import seed

    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    seed(groups=1000, servers=4, plans=500, executions=10_000)
    client = Client(headers={"accept-encoding": "gzip"})
    client.force_login(get_user_model().objects.create_superuser("bench", "", "x"))
    run = live_run()
    api, poll = f"/api/v1/executions/{run.pk}", reverse("execution-live", args=[run.pk])

    def get(path: str, *, status: int = 200, **headers: str) -> Callable[[], Row]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda: cost(lambda: client.get(path, headers=sent), status=status)

    yield "1,000 groups × 4", get("/api/v1/protection-groups")
    yield "500 plans × 2", get("/api/v1/recovery-plans")
    yield "first 50 of 10,000 runs", get("/api/v1/executions")
    yield "one run 10 × 100", get(api)
    yield "the same run, unchanged", get(api, status=304, if_none_match=client.get(api).headers["ETag"])
    yield "a poll, nothing new", get(f"{poll}?rev={run.revision}&engine=0", status=204, hx_request="true")
    yield "start of 3 × 4, without DRS", start_cost
    yield "a poll, one server of 100 changed", lambda: changed_poll_cost(client, run)
    yield "the same, the next who asks", lambda: changed_poll_cost(client, run, others=1)


def changed_poll_cost(client: Any, run: "Execution", others: int = 0) -> Row:
    """Of who asks after so many others, whose pages show the same."""
    from django.db.models import F

    from executions.models import Execution, ServerRun

    page, earlier = Watcher(client, run), [Watcher(client, run) for _ in range(others)]

    def change() -> None:
        Execution.objects.filter(pk=run.pk).update(revision=F("revision") + 1)
        run.refresh_from_db(fields=["revision"])
        run.waves.filter(number=0).update(revision=run.revision)
        server = ServerRun.objects.filter(wave__execution=run, wave__number=0).order_by("position")[run.revision % 50]
        ServerRun.objects.filter(pk=server.pk).update(phase_note=f"attempt {run.revision}")
        for each in earlier:
            each.poll()

    return cost(page.poll, before=change)


def start_cost() -> Row:
    """By the service, as the request does it that DRS has just told what runs."""
    from django.http import HttpResponse

    from audit.actor import SYSTEM
    from bench.seed import server_id
    from executions.commands import control
    from executions.models import Execution
    from executions.states import Kind
    from plans.models import RecoveryPlan, Wave, WaveGroup, WaveServer
    from protection.inventory.recovery_instances import InstancesKnown
    from protection.models import ServerAssignment

    plan = RecoveryPlan.objects.create(name="Three tiers", name_key="three tiers", owner="bench")
    for number in range(3):
        wave = Wave.objects.create(plan=plan, number=number, name=f"Tier {number + 1}")
        servers = [server_id(number, position) for position in range(4)]
        group = ServerAssignment.objects.get(source_server_id=servers[0]).group_id
        WaveGroup.objects.create(wave=wave, group_id=group, position=0)
        WaveServer.objects.bulk_create(
            WaveServer(plan=plan, wave=wave, assignment_id=each, position=at) for at, each in enumerate(servers)
        )

    def start() -> HttpResponse:
        control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL, looked=InstancesKnown())
        return HttpResponse()

    def clear() -> None:
        Execution.objects.filter(plan=plan).delete()

    return cost(start, before=clear)


class Watcher:
    """A page of a run on which somebody has opened the first wave: it polls as htmx does, by what it was sent last."""

    def __init__(self, client: Any, run: "Execution") -> None:
        from django.urls import reverse

        self.client = client
        self.read(client.get(reverse("execution", args=[run.pk])))
        self.read(self.ask(reverse("wave-rows", args=[run.pk, 0])))

    def ask(self, address: str) -> Any:
        return self.client.get(address, headers={"hx-request": "true"})

    def read(self, answer: Any) -> None:
        html = (gzip.decompress(answer.content) if "Content-Encoding" in answer.headers else answer.content).decode()
        if polled := re.search(r'hx-get="([^"]+/live[^"]*)"', html):
            self.address = polled[1].replace("&amp;", "&")
        self.rows = re.findall(r'name="rows" value="([^"]+)"', html) or getattr(self, "rows", [])

    def poll(self) -> Any:
        answer = self.ask("&".join([self.address, *(f"rows={each}" for each in self.rows)]))
        if answer.status_code == 200:
            self.read(answer)
        return answer


def cost(ask: Callable[[], Any], *, status: int = 200, before: Callable[[], None] = lambda: None) -> Row:
    """The median of a few rounds in milliseconds, and the bytes of the answer."""
    times, size = [], 0
    for _ in range(ROUNDS):
        before()
        started = time.process_time()
        answer = ask()
        times.append((time.process_time() - started) * 1000)
        assert answer.status_code == status, answer.status_code
        size = len(answer.content)
    return round(statistics.median(times), 1), size


def live_run(waves: int = 10, servers: int = 100) -> "Execution":
    """A run of so many waves of so many servers, all of which DRS launches."""
    from django.utils import timezone

    from executions.models import Execution, LaunchJob, ServerRun, WaveRun
    from executions.states import ExecutionStatus, JobStatus, Kind, LaunchStatus, Phase, WaveStatus

    now = timezone.now()
    run = Execution.objects.create(
        plan_name="Large", kind=Kind.DRILL, status=ExecutionStatus.LAUNCHING, total_waves=waves, initiated_by="bench",
        started_by="bench", started_at=now, next_step_at=now,
    )  # fmt: skip
    for number in range(waves):
        wave = WaveRun.objects.create(
            execution=run, number=number, name=f"Tier {number}", status=WaveStatus.LAUNCHING, started_at=now
        )
        job = LaunchJob.objects.create(
            wave=wave, position=0, account_id="111122223333", region="us-east-1", status=JobStatus.STARTED, attempt=1,
            intent_at=now, created_at=now, seen_at=now, job_id=f"drsjob-f{number:016x}",
        )  # fmt: skip
        ServerRun.objects.bulk_create(
            ServerRun(
                wave=wave, job=job, position=each, source_server_id=f"s-4{number:010x}{each:06x}",
                hostname=f"app-{number}-{each}", phase=Phase.LAUNCH, launch_status=LaunchStatus.IN_PROGRESS,
            )
            for each in range(servers)
        )  # fmt: skip
    return run


if __name__ == "__main__":
    main()
