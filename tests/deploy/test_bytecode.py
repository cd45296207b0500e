"""Processes start from bytecode: set-up, image and host have it compiled, and nothing of ours switches it off."""

import hashlib
import importlib.util
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import database_url
from tests.test_architecture import ROOMS
from tests.yardstick import is_quick

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SWITCHED_OFF = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # as many machines that build have it
TELL = "import sys; print(sys.dont_write_bytecode)"
ENGINE_CHECK_SECONDS = 2  # of a processor; without bytecode it takes more than 3


def scripts() -> list[Path]:
    return [path for path in sorted((ROOT / "script").iterdir()) if os.access(path, os.X_OK)]


def is_compiled(source: Path) -> bool:
    return Path(importlib.util.cache_from_source(str(source))).exists()


def a_wheel(directory: Path) -> str:
    """A package that needs no index; answers the line of a lock that installs it."""
    path = directory / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", "ANSWER = 42\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return f"tiny @ {path.as_uri()} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_setup_compiles_all_that_it_installs(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    shutil.copy(ROOT / "script/setup", tmp_path / "script/setup")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/product.txt").write_text(a_wheel(tmp_path))
    environment = {**SWITCHED_OFF, "PYTHON": sys.executable, "PIP_NO_INDEX": "1"}
    command = [str(tmp_path / "script/setup")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Installing the packages of requirements/product.txt (a minute or two, once)…\n" in done.stderr
    [installed] = (tmp_path / ".venv/lib").glob("*/site-packages")
    assert is_compiled(installed / "tiny.py")
    assert all(map(is_compiled, (installed / "pip").rglob("*.py")))


def test_no_script_passes_on_that_bytecode_is_switched_off() -> None:
    assert len(scripts()) > 10
    for path in scripts():
        before = path.read_text().split("\nunset PYTHONDONTWRITEBYTECODE ")
        assert len(before) == 2, path.name
        assert not re.search(r"^[^#\n]*(python|script/)", before[0], re.MULTILINE), (
            f"{path.name} starts something first"
        )


def test_a_script_whose_caller_has_it_switched_off_switches_it_on() -> None:
    environment = {**SWITCHED_OFF, "TEST_DATABASE_URL": "postgres://nobody@nowhere/none"}
    command = ["script/with-postgres", sys.executable, "-c", TELL]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_tests_and_what_they_start_use_bytecode() -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in os.environ
    assert not sys.dont_write_bytecode
    command = [sys.executable, "-m", "tests.environment", sys.executable, "-c", TELL]
    done = subprocess.run(command, cwd=ROOT, env=SWITCHED_OFF, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def deployed() -> Iterator[Path]:
    yield from (ROOT / "Dockerfile", *(ROOT / "docs").rglob("*.md"), *(ROOT / ".ci").iterdir())
    yield from (path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix != ".pyc")


def test_nothing_that_is_deployed_switches_it_off() -> None:
    for path in deployed():
        assert not re.search(r"PYTHONDONTWRITEBYTECODE|python[\d.]* -B\b", path.read_text()), path


def test_the_image_is_compiled_after_all_is_in_it() -> None:
    build = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").split("\nFROM ")[2]
    steps = [line for line in build.splitlines() if line.startswith(("RUN", "COPY"))]
    compiling = [index for index, step in enumerate(steps) if " -m compileall " in step]
    assert [re.findall(r" (/\S+)$", steps[index]) for index in compiling] == [["/opt/venv/lib"], ["/app"]]
    assert compiling[0] > max(index for index, step in enumerate(steps) if "pip install" in step)
    assert compiling[1] > max(index for index, step in enumerate(steps) if step.startswith("COPY"))


def test_the_command_of_the_page_compiles_the_product_on_a_host(tmp_path: Path) -> None:
    page = (ROOT / "docs/operations.md").read_text().split("## On a plain host with systemd")[1]
    [command] = re.findall(r"^\.venv/bin/python (-m compileall [^#\n]+)", page, re.MULTILINE)
    leave_out = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=leave_out)
    subprocess.run([sys.executable, *command.split()], cwd=tmp_path, env=SWITCHED_OFF, check=True)
    sources = list(tmp_path.rglob("*.py"))
    assert len(sources) > 100
    assert all(map(is_compiled, sources))


def seconds_of_a_check(environment: dict[str, str]) -> float:
    """What `engine --check` takes of a processor. No engine runs, which it says."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "manage.py", "engine", "--check"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.django_db(transaction=True)
def test_asking_for_the_engine_is_cheap() -> None:
    environment = {**os.environ, "DATABASE_URL": database_url()}
    seconds_of_a_check(environment)  # compiles what is not
    assert any(is_quick(seconds_of_a_check(environment), ENGINE_CHECK_SECONDS) for _ in range(3))
