"""Checks an evidence pack offline, with Python's standard library alone: `drsorch-verify pack.zip`.

It is installed by itself, never taken from the pack that it judges, and reads nothing but the pack. It derives RTA, RPA
and statuses from the events in report.json by itself, follows the journal's hash chain, and names what does not match.
"""

import hashlib
from pathlib import Path


def digest_of_sources() -> str:
    """Which verifier this is, to compare with what its maintainers publish: SHA-256 over sorted lines of SHA-256 and
    name, as `sha256sum *.py | LC_ALL=C sort | sha256sum` has it."""
    sources = Path(__file__).parent.glob("*.py")
    lines = sorted(f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in sources)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
