"""Which test runs when: `script/test` chooses by marker expressions; by hand, pytest runs everything.

A test's module or function says `both` where a database can make a difference, `postgresql` where only that one is
worth it, `slow` where it takes more than a second of a processor, or its module a few, `browser` where it drives one,
`long` where once before a release is enough, because a shorter test of the same runs every time. Two more are set here:
`commits` for tests whose transactions are real, which take a world to build, and `changed` for those of files named in
TEST_CHANGED, which `python -m tests.selection` finds.
"""

import gc
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMITTING = frozenset({"transactional_db", "live_server"})


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    changed = os.environ.get("TEST_CHANGED", "").split()
    for item in items:
        if commits(item):
            item.add_marker("commits")
        if item.nodeid.partition("::")[0] in changed:
            item.add_marker("changed")
    yield
    # What takes longest begins first, so that no worker has it alone at the end. Otherwise the order stays as it is.
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("slow", "browser"))))


def commits(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    transaction = marker is not None and bool(marker.kwargs.get("transaction"))
    return transaction or not COMMITTING.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not walk it again and again; and little of a test is garbage that
    only the collector finds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def changed_files(since: str) -> list[str]:
    """Files that differ from a commit, with those that git does not know yet."""
    listings = (["diff", "--name-only", "--diff-filter=d", since], ["ls-files", "--others", "--exclude-standard"])
    found = [subprocess.run(["git", *each], cwd=ROOT, check=True, capture_output=True, text=True) for each in listings]
    return [line for each in found for line in each.stdout.splitlines()]


def related(files: list[str], tests: dict[str, str]) -> list[str]:
    """The test files among these, and those whose text imports one of them. `tests` has the text of each test file."""
    modules = [PurePosixPath(each).with_suffix("") for each in files if each.endswith(".py")]
    imports = [
        rf"^\s*(from {re.escape('.'.join(each.parent.parts))} import .*\b{re.escape(each.name)}\b"
        rf"|(from|import) {re.escape('.'.join(each.parts))}\b)"
        for each in modules
        if each.parent.parts
    ]
    about = re.compile("|".join(imports), re.MULTILINE) if imports else None
    return sorted(path for path, text in tests.items() if path in files or (about and about.search(text)))


def main() -> None:
    """Print the tests of what has changed since the branch left its upstream, on one line."""
    upstream = subprocess.run(
        ["git", "merge-base", "HEAD", "@{upstream}"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    files = changed_files(upstream.stdout.strip() or "HEAD")
    tests = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.glob("tests/**/test_*.py")}
    print(*related(files, tests))


if __name__ == "__main__":
    main()
