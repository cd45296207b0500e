"""The image and what starts it: nothing missing, nothing secret in it, no more rights than needed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_architecture import PRODUCT

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
UNITS = ROOT / "deploy" / "systemd"


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#"))
    return [(name, rest) for name, rest in lines]


def test_the_image_holds_every_room_and_nothing_else_of_ours() -> None:
    kept = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    files = {
        "manage.py",
        "pyproject.toml",
        "requirements/product.txt",
        "static",
        "templates",
        "deploy/gunicorn.conf.py",
        *("docs", "SECURITY.md", "deploy/iam/README.md"),  # chapters of the manual
    }
    assert kept == PRODUCT | files
    assert all((ROOT / path).exists() for path in kept)


def test_the_last_stage_runs_without_rights_and_without_tools() -> None:
    found = instructions()
    stages = [rest for name, rest in found if name == "FROM"]
    assert len(stages) == 4
    assert re.fullmatch(r"python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64} AS base", stages[0])
    last = found[max(index for index, each in enumerate(found) if each[0] == "FROM") :]
    assert [rest for name, rest in last if name == "USER"] == ["10001:10001"]
    assert not [rest for name, rest in last if name == "RUN" and "pip" in rest]
    assert "ARG" not in {name for name, _ in found}
    fetched = [rest for name, rest in found if name == "ADD"]
    assert all(re.match(r"--checksum=sha256:[0-9a-f]{64} --chmod=0444 +https://", rest) for rest in fetched)
    [bundle] = [rest.split()[-1] for rest in fetched]
    assert f"sslmode=verify-full&sslrootcert={bundle}" in (ROOT / "deploy/cloudformation/database.yaml").read_text()
    installs = [rest for name, rest in found if name == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in rest for rest in installs)
    assert not re.search(
        r"(?i)(password|secret|token)\w*=[^$\s]", " ".join(rest for name, rest in found if name == "ENV")
    )


def test_the_image_keeps_what_botocore_says_of_the_services_that_are_called() -> None:
    text = (ROOT / "Dockerfile").read_text()
    found = re.search(r"\(([\w|-]+)\)' -exec", text)
    assert found is not None
    kept = set(found[1].split("|"))
    files = [path for room in PRODUCT for path in (ROOT / room).rglob("*.py")]
    called = {name for path in files for name in re.findall(r'(?:\.|_)client\(\s*"([\w-]+)"', path.read_text())}
    assert {"drs", "sts", "sns"} <= called <= kept
    assert kept - called == {"sso", "sso-oidc", "signin"}  # ways to get credentials


def test_the_compose_file_gives_no_process_more_than_it_needs() -> None:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services) == {"database", "migrate", "web", "engine", "manage"}
    assert services["manage"]["profiles"] == ["manage"]  # only when somebody asks for it
    assert services["engine"]["deploy"]["replicas"] == 2
    for name, each in services.items():
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert "cap_add" not in each, name
        assert "privileged" not in each, name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-4]g", each["mem_limit"]), name
        assert 256 <= each["pids_limit"] <= 1024, name
        assert each["logging"]["options"]["max-size"], name
    for name in ("web", "engine"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert all(port.startswith("127.0.0.1:") for each in services.values() for port in each.get("ports", ()))
    for each in services.values():
        for variable, value in each.get("environment", {}).items():
            if value and re.search("PASSWORD|SECRET|KEY|TOKEN", variable):
                assert re.fullmatch(r"\$\{\w+:[?-].*\}", value), variable


def test_the_database_needs_no_root_and_writes_to_its_volume_and_to_memory_alone() -> None:
    """The image runs as the user that owns its data; what PostgreSQL writes beside them is gone with the container."""
    database = yaml.safe_load(COMPOSE.read_text())["services"]["database"]
    assert database["user"] == "999:999"
    assert database["volumes"] == ["database:/var/lib/postgresql/data"]
    assert {each.split(":")[0] for each in database["tmpfs"]} == {"/tmp", "/var/run/postgresql"}
    assert "uid=999" in database["tmpfs"][1]


def units() -> list[Path]:
    return sorted(UNITS.glob("*.service"))


def test_there_is_a_unit_for_each_process() -> None:
    assert [path.name for path in units()] == [
        "drsorch-engine@.service",
        "drsorch-migrate.service",
        "drsorch-web.service",
    ]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with a checkout in place of /opt/drsorch, so that what they start exists."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd")
    directory = tmp_path_factory.mktemp("units")
    for path in units():
        text = path.read_text().replace("/opt/drsorch", str(ROOT))
        (directory / path.name.replace("@.", "@1.")).write_text(text)
    return directory


def test_systemd_accepts_the_units(installed: Path) -> None:
    paths = [str(path) for path in sorted(installed.iterdir())]
    command = ["systemd-analyze", "verify", "--man=no", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "drsorch" in line]
    assert done.returncode == 0, done.stderr
    assert not ours


def test_a_database_that_is_hours_late_keeps_nothing_from_starting() -> None:
    """Web and engines require the migrations, and are not started any more when those have failed."""
    text = (UNITS / "drsorch-migrate.service").read_text()
    waits = re.search(r"^ExecStart=.* migrate .*--wait (\d+)$", text, re.MULTILINE)
    assert waits is not None
    assert int(waits[1]) >= 86400
    assert "\nTimeoutStartSec=infinity\n" in text
    needy = [path.name for path in units() if "\nRequires=drsorch-migrate.service\n" in path.read_text()]
    assert needy == ["drsorch-engine@.service", "drsorch-web.service"]


def test_no_unit_can_take_the_whole_host(installed: Path) -> None:
    for path in sorted(installed.iterdir()):
        text = path.read_text()
        assert re.search(r"^MemoryMax=[1-4]G$", text, re.MULTILINE), path.name
        assert re.search(r"^TasksMax=\d{3,4}$", text, re.MULTILINE), path.name


def test_the_units_are_locked_down(installed: Path) -> None:
    for path in sorted(installed.iterdir()):
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-300:] + done.stderr
