"""`drsorch-verify pack.zip [--head SEQ:DIGEST]`: 0 when the pack holds, 1 when not, 2 without a pack."""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from drsorch_verify import archive, check
from drsorch_verify.visible import visible


def main() -> int:
    parser = argparse.ArgumentParser(prog="drsorch-verify", description="Checks an evidence pack offline.")
    parser.add_argument("pack", type=Path, help="the ZIP file")
    parser.add_argument("--head", default="", help="a head of the journal noted elsewhere (SEQ:DIGEST): must be in it")
    asked = parser.parse_args()
    if asked.head and not re.fullmatch("[0-9]+:[0-9a-f]{64}", asked.head, re.ASCII):
        parser.error(f"{asked.head!r} is no head of a journal: a number, a colon and 64 hex digits are expected")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that a terminal lacks ends no check
    try:
        pack = archive.load(asked.pack)
    except OSError as error:
        print(visible(f"{asked.pack} cannot be read: {error}"), file=sys.stderr)
        return 2
    found = check.problems(pack, asked.head)
    if found:
        things = "1 thing does" if len(found) == 1 else f"{len(found)} things do"
        _say([f"The pack does NOT hold. {things} not match:", *(f"- {problem}" for problem in found)])
        return 1
    files = archive.read(pack)
    record, manifest = json.loads(files[check.REPORT]), json.loads(files[check.MANIFEST])
    _say(
        [
            "The pack holds: every file, every journal entry and every figure matches.",
            *check.notes(pack),
            record["verdict"],
            f"The journal ends at {manifest['head']}. Whoever runs the product confirms that with:",
            f"  python manage.py audit_verify --head {manifest['head']}",
        ]
    )
    return 0


def _say(lines: Iterable[str]) -> None:
    """A line each. What a pack says can neither steer the terminal nor pass for a line of ours."""
    for line in lines:
        print(visible(line))


if __name__ == "__main__":
    sys.exit(main())
