"""docs/runbook.md is true: its commands, codes, settings, links, and the very words that it quotes exist."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from contract.rest.schema import STATUSES
from executions.console.live_page.event_feed import VERBS
from tests.support.processes import ROOT
from tests.test_architecture import PRODUCT

PAGE = (ROOT / "docs" / "runbook.md").read_text()


def sources() -> str:
    """What the product can say, with tags left out and split strings put together."""
    texts = [path.read_text() for room in PRODUCT for path in (ROOT / room).rglob("*.py")]
    joined = re.sub(r"\"\s*\n\s*f?\"", "", "\n".join(texts))
    pages = "\n".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    bare = re.sub(r"{%.*?%}|{{.*?}}|<[^>]*>", " ", pages)
    return re.sub(r"\s+", " ", f"{joined} {bare}").replace(" .", ".").replace(" ,", ",")


def quoted() -> list[str]:
    return sorted({part.strip() for words in re.findall(r"“([^”]+)”", PAGE) for part in words.split("…")})


def test_it_quotes_the_product_word_for_word() -> None:
    said = sources()
    assert len(quoted()) > 40
    assert [part for part in quoted() if len(part) > 3 and part != "these quotes" and part not in said] == []


def test_every_command_and_its_options_exist() -> None:
    known = get_commands()
    lines = re.findall(r"manage\.py ([a-z_]+)((?: [^`\n]*)?)`", PAGE)
    assert {name for name, _ in lines} >= {"backup", "restore", "engine", "audit_verify", "unknown_launches"}
    for name, rest in lines:
        command = load_command_class(str(known[name]), name)
        options = command.create_parser("manage.py", name).format_help()
        assert all(option in options for option in re.findall(r"--[a-z-]+", rest)), (name, rest)


def test_every_code_and_setting_exists() -> None:
    words = set(re.findall(r"`([A-Z][A-Z_]{5,})(?:=[^`]*)?`", PAGE))
    said = sources()
    assert words >= {"DATABASE_UNAVAILABLE", "WAVE_TIMEOUT", "NOT_CONFIRMED"}
    assert [
        word for word in words if f'"{word}"' not in said and f"= {word}" not in said and word != "DRSORCH_AUTH"
    ] == []
    for status, code in re.findall(r"`([A-Z_]+)` \((\d{3})\)", PAGE):
        assert STATUSES[status] == int(code)
    assert set(re.findall(r"`(launch\.[a-z]+)`", PAGE)) <= set(VERBS)


@pytest.mark.parametrize("unit", ["drsorch-engine@.service", "drsorch-web.service"])
def test_the_units_exist(unit: str) -> None:
    assert (ROOT / "deploy" / "systemd" / unit).is_file()
    assert unit.removesuffix(".service") in PAGE
    assert all(Path(ROOT / each).exists() for each in re.findall(r"deploy/[\w./-]+\w", PAGE))
