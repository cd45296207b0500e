"""`drsorch` installed by itself, as its README says: the standard library alone, with the verifier in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import ROOT

pytestmark = pytest.mark.slow


def test_it_installs_alone_and_brings_the_verifier(tmp_path: Path) -> None:
    for name in ("drsorch_cli", "drsorch_verify"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        )
    quiet = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(tmp_path / "env")]
    subprocess.run([*command, str(tmp_path / "drsorch_cli")], check=True)
    (tmp_path / "pack.zip").write_bytes(b"no pack")
    code = "import sys; sys.argv = ['drsorch', *sys.argv[1:]]; from drsorch_cli.__main__ import main; e = main()"
    code += "; print([n for n in sys.modules if n.split('.')[0] in ('django', 'boto3', 'rich', 'click')]); sys.exit(e)"
    environment = {"PYTHONPATH": str(tmp_path / "env")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, "verify", "pack.zip"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, ""), done
    assert "The pack does NOT hold" in done.stdout
    assert done.stdout.endswith("[]\n")
    version = subprocess.run([str(tmp_path / "env/bin/drsorch"), "--version"], env=environment, capture_output=True)
    assert version.stdout.startswith(b"drsorch 1.")
