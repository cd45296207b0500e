"""Every regular expression of the product takes a time linear in what it reads: a path of 8,000 characters once kept a
process busy for twenty seconds, because the log looked through it for secrets."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drsorch_site.configuration.logs import Scrubber
from tests.test_architecture import PRODUCT
from tests.yardstick import allowed, is_quick

LONG = 6_000
MOST_SECONDS = 0.25  # a quadratic one takes more than a second
# What is repeated: words that patterns look for, with what keeps them from ending there.
PIECES = (
    "a-", "-a", "a.", "a ", " ", "\t", "--", "/", "'", '"', "\\", ";", "; ", "=", "&", "?", "0", "0-", "0.", "é",
    "\u200b", "\u2764\ufe0f", "(", "[", "{", "<", "a\n", "\n", "eyJ", "-eyJ", "eyJa.", "eyJ-a.b-", "session-", "token ",
    "token= ", "csrf", "csrf-", "bearer ", "cookie:", "authorization ", "waves[0].", "wave-1", "arn:aws-",
    "arn:aws:sns:", 'W/"', '"1"', "s-0", "i-0 ", "ID", "IDs", "iD",
)  # fmt: skip


def patterns() -> Iterator[tuple[str, re.Pattern[str], bool]]:
    """Its name, itself, and whether texts are looked through for it."""
    for room in sorted(PRODUCT):
        for found in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if ".migrations" in found.name or found.name.endswith(("__main__", "wsgi", "drsorch_cli.setup")):
                continue
            module = importlib.import_module(found.name)
            source = Path(module.__file__ or "").read_text()
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                    whole = re.findall(rf"\b{name}\.(\w+)\(", source)
                    yield f"{found.name}.{name}", value, set(whole) != {"fullmatch"}


def seconds(pattern: re.Pattern[str], text: str, *, is_searched: bool) -> float:
    """What it takes to look through the text, or to compare it as a whole if nothing else is done with this pattern."""
    began = time.thread_time()
    if is_searched:
        for _ in pattern.finditer(text):
            pass
    pattern.fullmatch(text)
    return time.thread_time() - began


def test_no_pattern_takes_more_than_linear_time() -> None:
    found = [*patterns()]
    assert len(found) > 20
    slow = {
        f"{name} on {piece!r}": took
        for name, pattern, is_searched in found
        for piece in PIECES
        if (took := seconds(pattern, (piece * LONG)[:LONG] + "!", is_searched=is_searched)) > MOST_SECONDS
        and took > allowed(MOST_SECONDS, time.thread_time)
    }
    assert slow == {}


@pytest.mark.parametrize("piece", PIECES)
def test_no_line_keeps_the_log_busy(piece: str) -> None:
    scrubber = Scrubber(["the-installation's-own-secret"])
    text = (piece * LONG)[:LONG]
    began = time.thread_time()
    scrubber.text(text)
    assert is_quick(time.thread_time() - began, MOST_SECONDS, time.thread_time)
