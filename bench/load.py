"""60 people at once for a minute on the specification's largest installation, and the whole history to its last page.

python -m bench.load [--users 60 --seconds 60 --executions 100000]
script/with-postgres --durable python -m bench.load

Half of the people watch a run (a poll every 3 s), the others look around: pages of the console, lists and details of
the API, each 1 to 3 s after the one before; one step in twenty is a start of a dry run. Web as in production: gunicorn,
2 processes of 8 threads. Ends with 1 when a request fails, or one of the two limits does not hold.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from bench.lists import PORT, ROOT, environment, manage, web
from bench.measures import cpu_seconds, percentile, tree

PAGES = [
    "/", "/executions", "/recovery-plans", "/protection-groups?q=00123", "/source-servers?q=12",
    "/executions/{small}", "/recovery-plans/{plan}", "/protection-groups/{group}", "/journal",
]  # fmt: skip
API = [
    "/api/v1/executions?limit=50", "/api/v1/executions?status=FAILED", "/api/v1/executions/{small}",
    "/api/v1/recovery-plans", "/api/v1/recovery-plans/{plan}", "/api/v1/protection-groups/{group}",
]  # fmt: skip
POLL_SECONDS = 3.0
WRITES = 0.05
P99_MS, HISTORY_P95_MS = 2000, 300  # what docs/scale.md promises


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

    def start(self) -> None:
        """A dry run, as a script would start it."""
        body = json.dumps({"planId": self.made["plan"], "executionType": "DRILL", "dryRun": True})
        keyed = {"Authorization": f"Bearer {self.made['token']}", "Idempotency-Key": secrets.token_hex(16)}
        self.ask("POST", "/api/v1/executions", body, {**keyed, "Content-Type": "application/json"})

    def get(self, path: str, **more: str) -> str:
        return self.ask("GET", path, None, self.headers | more)

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> str:
        """As browsers do, once more on a new connection when the server has closed the kept one."""
        began = time.perf_counter()
        name = path.partition("?rev")[0] if method == "GET" else f"{method} {path}"
        for attempt in (1, 2):
            try:
                self.connection.request(method, path.format(**self.made), body, headers)
                answer = self.connection.getresponse()
                text = answer.read().decode()
                self.tally.note(name, began, str(answer.status))
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
        revision = "0"
        while time.monotonic() < end:
            poll = {"HX-Request": "true", "X-Background": "1"}
            text = self.get(f"/executions/{{run}}/live?rev={revision}&engine=1", **poll)
            if "live?rev=" in text:
                revision = text.split("/live?rev=")[1].split("&")[0]
            time.sleep(POLL_SECONDS)

    def look_around(self, end: float, chance: random.Random) -> None:
        while time.monotonic() < end:
            if chance.random() < WRITES:
                self.start()
            else:
                self.get(chance.choice(PAGES if chance.random() < 0.6 else API))
            time.sleep(chance.uniform(1, 3))


def load(made: dict[str, str], users: int, seconds: float) -> Tally:
    tally, end = Tally(), time.monotonic() + seconds

    def live(number: int) -> None:
        user, chance = User(made, tally), random.Random(number)
        time.sleep(3 * number / users)
        if number % 2:
            user.watch(end)
        else:
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
    bad = {status: count for status, count in tally.answers.items() if status not in ("200", "202", "204")}
    for name, times in sorted(tally.times.items(), key=lambda item: -percentile(item[1], 0.95)):
        print(f"| {name} | {len(times)} | {percentile(times, 0.5):.0f} | {percentile(times, 0.95):.0f} |")
    p50, p95, p99 = (percentile(every, share) for share in (0.5, 0.95, 0.99))
    print(f"| all | {len(every)} | {p50:.0f} | {p95:.0f}, p99 {p99:.0f}, max {max(every):.0f} |")
    print(f"errors: {bad or 0}; {len(every) / seconds:.0f} requests/s")
    of_web = f"{1000 * cpu / len(every):.1f} ms CPU a request, {1000 * cpu / seconds / users:.1f} a second and user"
    print(f"web: {of_web}, {100 * cpu / seconds:.0f} % of one core")
    return [f"errors: {bad}"] * bool(bad) + [f"p99 is {p99:.0f} ms"] * (p99 >= P99_MS)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name, default in (("users", 60), ("seconds", 60), ("executions", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seeded", action="store_true", help="the database of DATABASE_URL was filled by bench.seed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(scratch)
        began = time.monotonic()
        seed = [sys.executable, "-m", "bench.seed", "--executions", str(options.executions)]
        if not options.seeded:
            subprocess.run(seed, cwd=ROOT, env=env, check=True)
        print(f"seeded in {time.monotonic() - began:.0f} s")
        made = json.loads(
            subprocess.check_output([sys.executable, "-m", "bench.console", "prepare"], cwd=ROOT, env=env)
        )
        manage(env, "migrate", "--check")
        with web(env) as pid:
            times, rows = history(made)
            p95 = percentile(times, 0.95)
            print(f"history: {rows} runs, {len(times)} pages, p50 {percentile(times, 0.5):.0f} ms, p95 {p95:.0f} ms,")
            print(f"  last page {times[-1]:.0f} ms, load average {os.getloadavg()[0]:.1f}")
            changes = subprocess.Popen([sys.executable, "-m", "bench.console", "change"], cwd=ROOT, env=env)
            servers = tree(pid)
            cpu = cpu_seconds(servers)
            tally = load(made, options.users, options.seconds)
            cpu = cpu_seconds(servers) - cpu
            changes.terminate()
            print(f"load average {os.getloadavg()[0]:.1f}")
            print("| address | requests | p50 ms | p95 ms |\n| --- | --- | --- | --- |")
            broken = show(tally, options.seconds, cpu, options.users)
    if p95 >= HISTORY_P95_MS:
        broken.append(f"p95 of the history is {p95:.0f} ms")
    print("\n".join(f"NOT AS PROMISED: {each}" for each in broken))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
