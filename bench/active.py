"""What stands beside the people of `bench.load`: a simulated DRS that has the seeded servers, an engine, and runs.

`python -m bench.active start 20` starts so many drills of seeded plans, and is called by `bench.load` itself.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measures import cpu_seconds, tree

ROOT = Path(__file__).resolve().parent.parent
PORT = 8766
REGION, ACCOUNT = "us-east-1", "111122223333"
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCHB",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-benches",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    **{f"AWS_ENDPOINT_URL_{each}": f"http://127.0.0.1:{PORT}" for each in ("DRS", "STS", "EC2", "IAM")},
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS": f"http://127.0.0.1:{PORT}",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # whatever else: refused at once
}


def start(runs: int) -> None:
    """Drills of the first plans; what keeps one from starting ends the bench."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drsorch_site.settings")
    django.setup()
    logging.disable(logging.CRITICAL)
    from audit.actor import SYSTEM
    from executions.commands import control
    from executions.states import Kind
    from plans.models import RecoveryPlan

    for plan in RecoveryPlan.objects.order_by("name_key")[:runs]:
        control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL)


class Engine:
    """The processor time of an engine with all its processes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.since = cpu_seconds(tree(pid))
        self.began = time.monotonic()

    def percent(self) -> float:
        return 100 * (cpu_seconds(tree(self.pid)) - self.since) / (time.monotonic() - self.began)


@contextmanager
def active(env: dict[str, str], runs: int) -> Iterator[Engine]:
    """An engine with so many runs under way in a region of all seeded servers, until the end of the block."""
    from drs_simulator.testing import simulator_process

    with tempfile.TemporaryDirectory() as scratch:
        fleet = Path(scratch) / "fleet.json"
        fleet.write_text(json.dumps(seeded_fleet(env)))
        state = Path(scratch) / "state.sqlite3"
        with simulator_process(state, str(fleet), port=PORT) as simulator:
            simulator.settings(page_size=200, max_jobs=10_000, max_servers_in_jobs=10_000)
            command = [sys.executable, "manage.py", "engine"]
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                time.sleep(5)
                subprocess.run(
                    [sys.executable, "-m", "bench.active", "start", str(runs)], cwd=ROOT, env=env, check=True
                )
                yield Engine(process.pid)
            finally:
                process.terminate()
                process.wait(60)


def seeded_fleet(env: dict[str, str]) -> dict[str, object]:
    """The servers that the database knows, as the simulator takes them."""
    code = (
        "import json; from protection.models import SourceServer;"
        " print(json.dumps(list(SourceServer.objects.values_list('source_server_id', 'hostname'))))"
    )
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    told = subprocess.check_output(command, cwd=ROOT, env=env, text=True)
    servers = [{"id": pk, "region": REGION, "hostname": name} for pk, name in json.loads(told.splitlines()[-1])]
    return {"account": ACCOUNT, "regions": [REGION], "servers": servers}


if __name__ == "__main__":
    start(int(sys.argv[2]))
