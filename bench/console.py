"""How long the console's pages take at the size that the specification asks for, how large they are beside what is
asked, and how it bears 50 people who watch one run, over HTTP through gunicorn.

python -m bench.console                            # on SQLite
python -m bench.console --sizes                    # how large they are, and nothing else: half a minute
script/with-postgres python -m bench.console       # on PostgreSQL
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from bench.lists import PORT, ROOT, environment, web
from bench.measures import options_of

BASE = f"http://127.0.0.1:{PORT}"
REPEATS = 30
CLIENTS, EVERY_SECONDS, FOR_SECONDS, CHANGE_SECONDS = 50, 3.0, 60.0, 5.0
WAVES, SERVERS = 10, 100


def main() -> None:
    if sys.argv[1:] == ["prepare"]:
        return prepare()
    if sys.argv[1:] == ["change"]:
        return change()
    options = options_of(__doc__)
    options.add_argument("--sizes", action="store_true", help="each page once, and no clients")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(scratch)
        ENV.update(env)
        subprocess.run([sys.executable, "-m", "bench.seed"], cwd=ROOT, env=env, check=True)
        made = json.loads(
            subprocess.check_output([sys.executable, "-m", "bench.console", "prepare"], cwd=ROOT, env=env)
        )
        engine = "PostgreSQL" if env["DATABASE_URL"].startswith("postgres") else "SQLite"
        with web(env):
            show_pages(engine, made, repeats=1 if asked.sizes else REPEATS)
            if not asked.sizes:
                show_clients(env, made)
    return None


# In processes that know Django


def _django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    django.setup()


def prepare() -> None:
    """Somebody who may do everything, and a run of ten waves of a hundred servers; its facts go to stdout."""
    _django()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from executions.models import Execution
    from identity.tokens import make_token
    from plans.models import RecoveryPlan
    from protection.models import ProtectionGroup

    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client()
    bench = User.objects.filter(username="bench")  # there already in a database that is used again
    user = bench.first() or User.objects.create_superuser("bench", "bench@example.com", "x")
    client.force_login(user)
    run = big_run()
    facts = {
        "name": settings.SESSION_COOKIE_NAME,
        "cookie": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "token": make_token(user, timedelta(hours=1)),
        "run": str(run.pk),
        "small": str(Execution.objects.exclude(pk=run.pk)[0].pk),
        "plan": str(RecoveryPlan.objects.all()[0].pk),
        "group": str(ProtectionGroup.objects.all()[0].pk),
    }
    sys.stdout.write(json.dumps(facts))


def big_run() -> Any:
    from django.utils import timezone

    from executions.models import Execution, LaunchJob, Pacemaker, ServerRun, WaveRun
    from executions.states import ExecutionStatus, LaunchStatus, Phase, WaveStatus

    now = timezone.now()
    run = Execution.objects.create(
        plan_name="Everything", kind="DRILL", total_waves=WAVES, initiated_by="bench", started_by="bench",
        status=ExecutionStatus.LAUNCHING, started_at=now - timedelta(hours=1), next_step_at=now + timedelta(days=1),
    )  # fmt: skip
    for number in range(WAVES):
        state = WaveStatus.COMPLETED if number < 4 else WaveStatus.LAUNCHING if number == 4 else WaveStatus.PENDING
        begun = now - timedelta(minutes=60 - 12 * number) if number < 5 else None
        ended = now - timedelta(minutes=50 - 12 * number) if number < 4 else None
        wave = WaveRun.objects.create(
            execution=run, number=number, name=f"Tier {number + 1}", status=state, started_at=begun, ended_at=ended
        )
        job = LaunchJob.objects.create(
            wave=wave, position=0, account_id="111122223333", region="us-east-1",
            status="COMPLETED" if ended else "STARTED" if begun else "QUEUED",
            job_id=f"drsjob-{run.pk.hex[:14]}{number:03x}" if begun else "", seen_at=now,
        )  # fmt: skip
        launch = LaunchStatus.LAUNCHED if ended else LaunchStatus.IN_PROGRESS if begun else LaunchStatus.PENDING
        phase = Phase.DONE if ended else Phase.CONVERSION if begun else Phase.QUEUED
        ServerRun.objects.bulk_create(
            ServerRun(
                wave=wave, job=job, position=at,
                source_server_id=f"s-{number:08x}{at:09x}", hostname=f"host-{number}-{at:03}",
                launch_status=launch, phase=phase,
                recovery_instance_id=f"i-{number:08x}{at:09x}" if ended else "", launched_at=ended,
            )
            for at in range(SERVERS)
        )  # fmt: skip
    Pacemaker.objects.update_or_create(pk=1, defaults={"beat_at": now + timedelta(hours=1)})
    return run


def change() -> None:
    """Move servers of the running wave on, as an engine does, until killed."""
    _django()
    from django.utils import timezone

    from executions.models import Execution, ServerRun
    from executions.runs.transitions import touch

    run = Execution.objects.filter(plan_name="Everything").latest("started_at")
    wave = run.waves.get(number=4)
    servers = list(ServerRun.objects.filter(wave=wave))
    for turn in range(10_000):
        time.sleep(CHANGE_SECONDS)
        server = servers[turn % len(servers)]
        server.phase = "LAUNCH" if turn % 2 else "SNAPSHOT"
        server.save(update_fields=["phase"])
        touch(run, timezone.now(), [wave])


# Over HTTP


def _session(made: dict[str, str]) -> requests.Session:
    session = requests.Session()
    session.cookies.set(made["name"], made["cookie"])
    # As browsers do: a kept connection that the server has closed meanwhile is opened again.
    session.mount("http://", HTTPAdapter(max_retries=Retry(connect=2, read=2, status=0, allowed_methods=["GET"])))
    return session


@dataclass(frozen=True)
class Asked:
    """How large a page may be, in bytes and nodes."""

    size: int = 0
    nodes: int = 0

    def against(self, size: int, nodes: int) -> str:
        told = [f"{self.size / 1000:.0f} kB"] if self.size else []
        told += [f"{self.nodes:,} nodes"] if self.nodes else []
        over = (self.size and size > self.size) or (self.nodes and nodes > self.nodes)
        return ", ".join(told) + (": OVER" if over else "")


# What issue 22 asks of them; of the others nothing is asked.
ASKED = {"a run of 10 × 100 servers": Asked(60_000, 2_000), "its poll, one server changed": Asked(5_000)}
POLL = {"HX-Request": "true", "X-Background": "1"}


def show_pages(engine: str, made: dict[str, str], repeats: int) -> None:
    session, run = _session(made), made["run"]
    pages: list[tuple[str, str, dict[str, str]]] = [
        ("dashboard", "/", {}),
        ("1,000 groups", "/protection-groups", {}),
        ("one of them, searched", "/protection-groups?q=00999", {}),
        ("a group", f"/protection-groups/{made['group']}", {}),
        ("its editor, 4,000 servers", f"/protection-groups/{made['group']}/edit", {}),
        ("500 plans", "/recovery-plans", {}),
        ("a plan", f"/recovery-plans/{made['plan']}", {}),
        ("its editor, 1,000 groups", f"/recovery-plans/{made['plan']}/edit", {}),
        ("10,000 runs", "/executions", {}),
        ("4,000 source servers", "/source-servers", {}),
        ("settings", "/settings", {}),
        ("a run of 10 × 100 servers", f"/executions/{run}", {}),
        ("its poll, nothing new", _poll_of(session, run), POLL),
    ]
    sys.stdout.write(f"{engine:30} {'p50':>8} {'p95':>9} {'size':>9} {'sent':>9} {'nodes':>7}  asked\n")
    for name, path, headers in pages:
        _show_page(session, name, path, headers, repeats)
    before = _poll_of(session, run)
    _change_one_server()
    _show_page(session, "its poll, one server changed", before, POLL, repeats)


def _show_page(session: requests.Session, name: str, path: str, headers: dict[str, str], repeats: int) -> None:
    """One line: time, bytes before and after compression, nodes, and what is asked of it."""
    times, text, sent = [], "", ""
    for _ in range(repeats):
        began = time.perf_counter()
        answer = session.get(BASE + path, headers=headers, timeout=60)
        times.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
        text, sent = answer.text, answer.headers.get("Content-Length", "")
    size, nodes = len(text.encode()), len(re.findall("<[a-z]", text))
    p95 = statistics.quantiles(times, n=20)[18] if repeats > 1 else times[0]
    wire = f"{int(sent) / 1000:6.1f} kB" if sent else f"{'':9}"
    told = ASKED.get(name, Asked()).against(size, nodes)
    sys.stdout.write(
        f"{name:30} {statistics.median(times):5.0f} ms {p95:6.0f} ms {size / 1000:6.1f} kB {wire} {nodes:7,}  {told}\n"
    )


def _poll_of(session: requests.Session, run: str) -> str:
    """What a page asks next on which somebody has opened the wave that is under way."""
    html = session.get(f"{BASE}/executions/{run}?wave=4").text
    [address] = re.findall(r'hx-get="([^"]+/live\?[^"]*)"', html)
    rows = re.findall(r'name="rows" value="([^"]+)"', html)
    return "&".join([address.replace("&amp;", "&"), *(f"rows={each}" for each in rows)])


def _change_one_server() -> None:
    code = (
        "from executions.models import Execution, ServerRun; from executions.runs.transitions import touch;"
        "from django.utils import timezone; run = Execution.objects.get(plan_name='Everything');"
        "wave = run.waves.get(number=4); server = wave.servers.all()[0];"
        "ServerRun.objects.filter(pk=server.pk).update(phase='LAUNCH'); touch(run, timezone.now(), [wave])"
    )
    subprocess.run([sys.executable, "manage.py", "shell", "-v0", "-c", code], cwd=ROOT, env=ENV, check=True)


ENV: dict[str, str] = {}


def show_clients(env: dict[str, str], made: dict[str, str]) -> None:
    """50 browsers, each asking for what is new since its own revision, while a wave changes every few seconds."""
    times: list[float] = []
    answers: Counter[str] = Counter()
    end = time.monotonic() + FOR_SECONDS
    writer = subprocess.Popen([sys.executable, "-m", "bench.console", "change"], cwd=ROOT, env=env)

    def watch(number: int) -> None:
        session, revision = _session(made), "0"
        time.sleep(EVERY_SECONDS * number / CLIENTS)
        while time.monotonic() < end:
            began = time.perf_counter()
            try:
                answer = session.get(
                    f"{BASE}/executions/{made['run']}/live?rev={revision}&engine=1",
                    headers={"HX-Request": "true", "X-Background": "1"},
                    timeout=30,
                )
                answers[str(answer.status_code)] += 1
                if "live?rev=" in answer.text:
                    revision = answer.text.split("/live?rev=")[1].split("&")[0]
            except requests.RequestException as error:
                answers[type(error).__name__] += 1
            took = time.perf_counter() - began
            times.append(took * 1000)
            time.sleep(max(0.0, EVERY_SECONDS - took))

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.terminate()
    p95 = statistics.quantiles(times, n=20)[18]
    told = ", ".join(f"{count} × {status}" for status, count in sorted(answers.items()))
    sys.stdout.write(
        f"{CLIENTS} clients, {FOR_SECONDS:.0f} s            {statistics.median(times):5.0f} ms {p95:6.0f} ms"
        f"   slowest {max(times):.0f} ms; {told}\n"
    )


if __name__ == "__main__":
    main()
