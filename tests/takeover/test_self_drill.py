"""The rehearsal with real processes; `test_takeover.py` shows the same in short."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_installation_is_lost_and_another_one_goes_on() -> None:
    command = [sys.executable, "-m", "tests.takeover.self_drill", "--tries", "3", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 doubled, 0 missed, 3 good" in done.stdout
