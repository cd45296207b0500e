"""People at once for a minute on the specification's largest installation, beside an engine with runs under way.

python -m bench.load [--people 150 --seconds 300 --arrive 3 --active 20 --executions 100000]
script/with-postgres --durable python -m bench.load

All come within --arrive seconds. A third watch a run of 1,000 servers that changes (a poll every 3 s); a third leave
the dashboard, the list of runs, or a run of the engine's open, each of which polls as its page does; the others look
around: pages of the console, lists and details of the API, each 1 to 3 s after the one before; one step in twenty is a
start of a dry run. Beside them an engine works on --active drills against a simulated DRS that has all seeded servers,
and before them the history is read to its last page. Web as in production: gunicorn with deploy/gunicorn.conf.py.

Everything shares this machine: web, engine, database, simulator and the people. Ends with 1 when a request fails, or
one of the two limits does not hold. Prints, for each address, requests, p50 and p95 as the people met them; errors, p50
and p99 of all together; and the processor time of web and of the engine with all their processes.
"""

import argparse
import http.client
import json
import random
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from html import unescape

from bench.active import AWS, active
from bench.lists import PORT, ROOT, environment, manage, web
from bench.measures import cpu_seconds, machine, options_of, percentile, tree

PAGES = [
    "/", "/executions", "/recovery-plans", "/protection-groups?q=00123", "/source-servers?q=12",
    "/executions/{small}", "/recovery-plans/{plan}", "/protection-groups/{group}", "/journal",
]  # fmt: skip
API = [
    "/api/v1/executions?limit=50", "/api/v1/executions?status=FAILED", "/api/v1/executions/{small}",
    "/api/v1/recovery-plans", "/api/v1/recovery-plans/{plan}", "/api/v1/protection-groups/{group}",
]  # fmt: skip
OPEN = ["/", "/executions", "/executions/{active}"]
POLL = re.compile(r'hx-get="([^"]+)"[^>]*hx-trigger="every ([0-9.]+)s')
UUID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
POLL_SECONDS = 3.0
WRITES = 0.05
P99_MS, HISTORY_P95_MS = 2000, 300  # what docs/scale.md promises
GOOD = ("200", "202", "204", "286")  # the last ends the polls of what is over


@dataclass
class Tally:
    """What the users met: milliseconds by address, and answers by status."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)

    def note(self, name: str, began: float, status: str) -> None:
        self.times[name].append((time.perf_counter() - began) * 1000)
        self.answers[status] += 1


class User:
    """Somebody with a kept connection and a session."""

    def __init__(self, made: dict[str, str], tally: Tally) -> None:
        self.made, self.tally = made, tally
        self.headers = {"Cookie": f"{made['name']}={made['cookie']}"}
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        self.is_told_to_stop = False

    def start(self) -> None:
        """A dry run, as a script would start it."""
        body = json.dumps({"planId": self.made["plan"], "executionType": "DRILL", "dryRun": True})
        keyed = {"Authorization": f"Bearer {self.made['token']}", "Idempotency-Key": secrets.token_hex(16)}
        self.ask("POST", "/api/v1/executions", body, {**keyed, "Content-Type": "application/json"})

    def get(self, path: str, **more: str) -> str:
        return self.ask("GET", path.format(**self.made), None, self.headers | more)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> str:
        """As browsers do, once more on a new connection when the server has closed the kept one."""
        began = time.perf_counter()
        name = UUID.sub("…", path.partition("?")[0]) if "HX-Request" in headers else path
        name = name if method == "GET" else f"{method} {path}"
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                text = answer.read().decode()
                self.tally.note(name, began, str(answer.status))
                self.is_told_to_stop = answer.status == 286
                return text
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if attempt == 2:
                    self.tally.note(name, began, "closed")
            except OSError as error:
                self.connection.close()
                self.tally.note(name, began, type(error).__name__)
                return ""
        return ""

    def watch(self, end: float) -> None:
        self.leave_open("/executions/{run}", end)

    def leave_open(self, page: str, end: float) -> None:
        """A page, and then its polls, at the addresses and as often as it asks for."""
        html = self.get(page)
        while time.monotonic() < end:
            polled = POLL.search(html)
            if polled is None:  # nothing is under way there
                time.sleep(POLL_SECONDS)
                continue
            address = unescape(polled[1])
            time.sleep(float(polled[2]))
            answer = self.get(address, **{"HX-Request": "true", "X-Background": "1"})
            html = answer if self.is_told_to_stop or POLL.search(answer) else html

    def look_around(self, end: float, chance: random.Random) -> None:
        while time.monotonic() < end:
            if chance.random() < WRITES:
                self.start()
            else:
                self.get(chance.choice(PAGES if chance.random() < 0.6 else API))
            time.sleep(chance.uniform(1, 3))


def load(made: dict[str, str], users: int, seconds: float, arrive: float) -> Tally:
    tally, end = Tally(), time.monotonic() + seconds

    def live(number: int) -> None:
        user, chance = User(made, tally), random.Random(number)
        time.sleep(arrive * number / users)
        match number % 3:
            case 0:
                user.watch(end)
            case 1:
                user.leave_open(chance.choice(OPEN), end)
            case _:
                user.look_around(end, chance)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def history(made: dict[str, str]) -> tuple[list[float], int]:
    """Milliseconds a page through the API's history of 100 a page, one after the other to the last; and its rows."""
    user, times, rows, token = User(made, Tally()), [], 0, ""
    while True:
        began = time.perf_counter()
        page = json.loads(user.get(f"/api/v1/executions?limit=100{token and f'&nextToken={token}'}"))
        times.append((time.perf_counter() - began) * 1000)
        rows += len(page["items"])
        if not page["nextToken"]:
            return times, rows
        token = page["nextToken"]


def show(tally: Tally, seconds: float, cpu: float, users: int) -> list[str]:
    """Prints what was measured, and returns what is not as start_figures."""
    every = [each for times in tally.times.values() for each in times]
    bad = {status: count for status, count in tally.answers.items() if status not in GOOD}
    for name, times in sorted(tally.times.items(), key=lambda item: -percentile(item[1], 0.95)):
        print(f"| {name} | {len(times)} | {percentile(times, 0.5):.0f} | {percentile(times, 0.95):.0f} |")
    p50, p95, p99 = (percentile(every, share) for share in (0.5, 0.95, 0.99))
    print(f"| all | {len(every)} | {p50:.0f} | {p95:.0f}, p99 {p99:.0f}, max {max(every):.0f} |")
    met = f"errors {bad or 0}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(every) / seconds:.0f} requests/s"
    print(f"{users} people for {seconds:.0f} s: {met}")
    of_web = f"{1000 * cpu / len(every):.1f} ms CPU a request, {1000 * cpu / seconds / users:.1f} a second and user"
    print(f"web: {of_web}, {100 * cpu / seconds:.0f} % of one core")
    return [f"errors: {bad}"] * bool(bad) + [f"p99 is {p99:.0f} ms"] * (p99 >= P99_MS)


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(scratch) | AWS
        began = time.monotonic()
        seed = [sys.executable, "-m", "bench.seed", "--executions", str(options.executions)]
        if not options.seeded:
            subprocess.run(seed, cwd=ROOT, env=env, check=True)
        print(f"seeded in {time.monotonic() - began:.0f} s")
        facts = [sys.executable, "-m", "bench.console", "prepare"]
        made = json.loads(subprocess.check_output(facts, cwd=ROOT, env=env))
        manage(env, "migrate", "--check")
        with web(env) as pid:
            times, rows = history(made)
            p95 = percentile(times, 0.95)
            print(f"history: {rows} runs, {len(times)} pages, p50 {percentile(times, 0.5):.0f} ms, p95 {p95:.0f} ms,")
            print(f"  last page {times[-1]:.0f} ms; {machine()}")
            broken = people(env, made, pid, options)
    if p95 >= HISTORY_P95_MS:
        broken.append(f"p95 of the history is {p95:.0f} ms")
    print("\n".join(f"NOT AS PROMISED: {each}" for each in broken))
    return bool(broken)


def _options() -> argparse.Namespace:
    parser = options_of(__doc__)
    for name, default in (("people", 150), ("seconds", 60), ("arrive", 3), ("active", 20), ("executions", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seeded", action="store_true", help="the database of DATABASE_URL was filled by bench.seed")
    return parser.parse_args()


def people(env: dict[str, str], made: dict[str, str], pid: int, options: argparse.Namespace) -> list[str]:
    """They come and work beside the engine. Prints what they met, and answers what is not as promised."""
    with active(env, options.active) as engine:
        newest = json.loads(User(made, Tally()).get("/api/v1/executions?limit=1"))["items"][0]
        made = {**made, "active": newest["executionId"]}
        changes = subprocess.Popen([sys.executable, "-m", "bench.console", "change"], cwd=ROOT, env=env)
        servers = tree(pid)
        cpu = cpu_seconds(servers)
        try:
            tally = load(made, options.people, options.seconds, options.arrive)
        finally:
            changes.terminate()
        cpu = cpu_seconds(servers) - cpu
        print(f"engine with {options.active} runs: {engine.percent():.1f} % of one core")
    print(machine())
    print("| address | requests | p50 ms | p95 ms |\n| --- | --- | --- | --- |")
    return show(tally, options.seconds, cpu, options.people)


if __name__ == "__main__":
    sys.exit(main())
