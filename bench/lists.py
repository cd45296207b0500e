"""How long the lists take at the size that the specification asks for, over HTTP through gunicorn.

python -m bench.lists                              # on SQLite
script/with-postgres python -m bench.lists         # on PostgreSQL
"""

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.measures import options_of

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
BASE = f"http://127.0.0.1:{PORT}/api/v1"
REPEATS = 40
LISTS = {
    "1,000 groups × 4 servers": "/protection-groups",
    "500 plans": "/recovery-plans",
    "first page of executions": "/executions?limit=100",
    "executions of one status": "/executions?limit=100&status=FAILED",
}


def environment(scratch: str) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{scratch}/bench.sqlite3",
        **os.environ,
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
        "DRSORCH_THROTTLE_START": "100000/min",
        "DRSORCH_THROTTLE_USER": "100000/min",
    }


def manage(env: dict[str, str], *args: str) -> str:
    done = subprocess.run([sys.executable, "manage.py", *args], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


@contextmanager
def web(env: dict[str, str]) -> Iterator[int]:
    """The web server as in production; yields its pid."""
    command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "drsorch_site.wsgi"]
    command += ["--bind", f"127.0.0.1:{PORT}"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                requests.get(f"http://127.0.0.1:{PORT}/healthz", timeout=1)
                break
            except requests.RequestException:
                time.sleep(0.1)
        else:
            raise TimeoutError("The web server has not answered for a minute.")
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def measure(session: requests.Session, path: str) -> tuple[float, float, int]:
    """p50 and p95 in milliseconds, and the size of the answer."""
    times, size = [], 0
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer = session.get(BASE + path, timeout=30)
        times.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
        size = len(answer.content)
    return statistics.median(times), statistics.quantiles(times, n=20)[18], size


def main() -> None:
    options_of(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        env = environment(scratch)
        subprocess.run([sys.executable, "-m", "bench.seed"], cwd=ROOT, env=env, check=True)
        code = "from django.contrib.auth import get_user_model as m; m().objects.create_superuser('bench', '', 'x')"
        manage(env, "shell", "-v0", "-c", code)
        token = manage(env, "api_token", "--user", "bench").splitlines()[-1]
        engine = "PostgreSQL" if env["DATABASE_URL"].startswith("postgres") else "SQLite"
        with web(env), requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            print(f"{engine:12} {'p50':>9} {'p95':>9} {'size':>10}")
            for name, path in LISTS.items():
                p50, p95, size = measure(session, path)
                print(f"{name:28} {p50:6.0f} ms {p95:6.0f} ms {size / 1000:7.0f} kB")


if __name__ == "__main__":
    main()
