"""schemathesis against the running server: requests that follow the OpenAPI document, and requests that do not.

Here in a short form; `script/fuzz` sets FUZZ=full and runs the same at length. What is found and is no defect,
fuzz_baseline.toml explains.
"""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contract.rest.schema import STATUSES
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.fleet import generate_fleet
from executions.states import ExecutionStatus
from identity.tokens import make_token
from tests.console import world
from tests.support.api_client import make_user
from tests.support.processes import ROOT, web

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

SEED = "7"


@dataclass(frozen=True)
class Size:
    """What schemathesis tries, and how many requests that must make at least."""

    phases: str
    examples: int
    cases: int


SIZES = {
    "short": Size("examples,fuzzing,stateful", examples=3, cases=150),
    "full": Size("examples,coverage,fuzzing,stateful", examples=180, cases=10_000),
}


def a_world(simulator: RunningSimulator) -> dict[str, Any]:
    """Runs to look at, and what the hooks build upon: servers nobody uses, a group of many, plans to run."""
    world.paused()
    world.ended(ExecutionStatus.COMPLETED)
    world.ended(ExecutionStatus.PARTIAL, fail="No capacity")
    fleet = generate_fleet(200)
    simulator.load_fleet(fleet)
    servers = [world.server() for _ in range(60)]
    return {
        "free": [server.id for server in fleet.servers],
        "servers": servers,
        "group": str(world.group("Many servers", servers).pk),
        "plans": [str(world.plan(sizes=(1, 1)).pk) for _ in range(10)],
    }


def schemathesis(
    base: str, token: str, size: Size, scratch: Path, known: dict[str, Any]
) -> tuple[int, str, dict[str, Any]]:
    """Runs `st`; answers its exit status, its output and its report."""
    report = scratch / "report.json"
    command = [
        str(Path(sys.executable).with_name("st")),
        "--config-file",
        str(Path(__file__).with_name("fuzz.toml")),
        "run",
        f"{base}/schema",
        "--header",
        f"Authorization: Bearer {token}",
    ]
    # The hooks hold positive_data_acceptance, which knows our codes.
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--mode", "all"]
    command += ["--phases", size.phases, "--max-examples", str(size.examples), "--seed", SEED, "--continue-on-failure"]
    command += [
        "--workers",
        "1",
        "--wait-for-schema",
        "30",
        "--request-timeout",
        "30",
        "--no-color",
        "--warnings",
        "off",
    ]
    command += ["--suppress-health-check", "all", "--generation-database", "none", "--report-json-path", str(report)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.contract.openapi.fuzz_hooks",
        "FUZZ_WORLD": json.dumps(known),
    }
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.django_db(transaction=True)
def test_it_finds_nothing(simulator: RunningSimulator, tmp_path: Path) -> None:
    size = SIZES[os.environ.get("FUZZ", "short")]
    token = make_token(make_user("admin"), timedelta(hours=3))
    known = a_world(simulator)
    with web() as base:
        status, output, report = schemathesis(base, token, size, tmp_path, known)
    print(output[-3000:])
    assert status == 0, output
    assert report["complete"]
    assert report["test_cases"]["generated"] >= size.cases
    assert {report["phases"][name]["status"] for name in size.phases.split(",")} == {"success"}, report["phases"]


def test_the_baseline_explains_each_refusal_of_the_contract() -> None:
    lines = tomllib.loads((Path(__file__).parent / "fuzz_baseline.toml").read_text())["refusal"]
    assert len({line["what"] for line in lines}) == len(lines)
    for line in lines:
        assert line["what"].split()[0] in STATUSES
        assert line["operations"]
        assert line["why"].endswith(".")
