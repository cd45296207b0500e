"""`python -m drsorch_verify pack.zip [--head SEQ:DIGEST]`: 0 when the pack holds, 1 when not, 2 without a pack."""

import argparse
import json
import sys
from pathlib import Path

from drsorch_verify import archive, check


def main() -> int:
    parser = argparse.ArgumentParser(prog="drsorch_verify", description="Checks an evidence pack offline.")
    parser.add_argument("pack", type=Path, help="the ZIP file")
    parser.add_argument("--head", default="", help="a head of the journal noted elsewhere (SEQ:DIGEST): must be in it")
    asked = parser.parse_args()
    try:
        pack = asked.pack.read_bytes()
    except OSError as error:
        print(f"{asked.pack} cannot be read: {error}", file=sys.stderr)
        return 2
    found = check.problems(pack, asked.head)
    if found:
        print(f"The pack does NOT hold. {len(found)} things do not match:")
        print("\n".join(f"- {problem}" for problem in found))
        return 1
    files = archive.read(pack)
    record, manifest = json.loads(files[check.REPORT]), json.loads(files[check.MANIFEST])
    print("The pack holds: every file, every journal entry and every figure matches.")
    print("\n".join(check.notes(pack)), end="\n" if check.notes(pack) else "")
    print(record["verdict"])
    print(f"The journal ends at {manifest['head']}. Whoever runs the product confirms that with:")
    print(f"  python manage.py audit_verify --head {manifest['head']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
