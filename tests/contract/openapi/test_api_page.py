"""The commands of docs/api.md work, in their order, against a server, an engine and the simulated DRS."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from drs_simulator.testing import RunningSimulator
from tests.support.api_client import Api
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "api.md"
MAX_WAIT_SECONDS = 180


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    yield made
    made.sweep.close()


def test_the_tutorial_works(admin: Api, stage: Stage, live_server: LiveServer) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    script = "set -euo pipefail\n" + "\n".join(blocks)
    environment = {"API": f"{live_server.url}/api/v1", "TOKEN": admin.token, "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            stage.advance(20)
            stage.look()
            time.sleep(0.1)
    finally:
        process.kill()
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert output.splitlines()[-1].endswith("Sign-on recovery")
