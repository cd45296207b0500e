"""What stands in pyproject.toml, and the verifier of evidence packs, which lies beside this folder in a checkout."""

from pathlib import Path

from setuptools import setup  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
packages = {"drsorch_cli": ".", "drsorch_cli.oidc": "oidc", "drsorch_cli.verbs": "verbs"}
if (HERE.parent / "drsorch_verify" / "check.py").is_file():
    packages["drsorch_verify"] = "../drsorch_verify"

setup(packages=list(packages), package_dir=packages)
