"""`script/sbom` lists what the product installs: every package of the lock, with its version and hashes."""

import json
import re
import subprocess

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow


def test_it_lists_every_locked_package_with_version_and_hashes() -> None:
    lock = (ROOT / "requirements" / "product.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([\w.]+) \\$", lock, re.MULTILINE))
    done = subprocess.run(["script/sbom"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    bill = json.loads(done.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "drsorch"
    assert {each["name"]: each["version"] for each in bill["components"]} == locked
    assert len(locked) > 30
    for each in bill["components"]:
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        hashes = {found["content"] for link in each["externalReferences"] for found in link["hashes"]}
        assert hashes
        assert all(f"--hash=sha256:{found}" in lock for found in hashes)
