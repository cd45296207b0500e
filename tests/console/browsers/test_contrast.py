"""The tokens of the stylesheet: readable in both schemes, whatever is combined with what; and the budgets."""

import re
from pathlib import Path

import pytest
from django.conf import settings

STATIC = Path(settings.BASE_DIR) / "static"
CSS = (STATIC / "console.css").read_text()
TONES = ("neutral", "progress", "attention", "success", "partial", "danger")
TEXTS = [
    *(
        (text, ground)
        for text in ("text", "muted", "accent", "danger")
        for ground in ("surface", "canvas", "surface-2")
    ),
    *((tone, ground) for tone in TONES for ground in ("surface", "canvas", f"{tone}-bg")),
    *(("text", f"{tone}-bg") for tone in TONES),
    ("accent", "progress-bg"),
    ("on-accent", "accent"),
]
CONTROLS = [
    *((line, ground) for line in ("control-line", "accent", "danger") for ground in ("surface", "canvas")),
    *((tone, "surface") for tone in TONES),
]
ROOT, TONE = re.search(r"(?s)\n:root {.*?\n}", CSS), r"\[data-tone=(\w+)] { --tone: (.*?); --tone-bg: (.*?) }"
TOKENS = dict(re.findall(r"--([\w-]+): (light-dark\([^)]*\))", ROOT[0] if ROOT else ""))
for tone, text, ground in re.findall(TONE, CSS):  # a colour, or a token that has one
    TOKENS[tone] = TOKENS.get(text[6:-1], text)
    TOKENS[f"{tone}-bg"] = TOKENS.get(ground[6:-1], ground)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str, scheme: int) -> float:
    shown = [re.findall(r"#[0-9a-f]{6}", TOKENS[token])[scheme] for token in (one, other)]
    low, high = sorted(luminance(colour) for colour in shown)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_and_controls_can_be_seen(scheme: int) -> None:
    poor = {pair: contrast(*pair, scheme) for pair in TEXTS if contrast(*pair, scheme) < 4.5}
    faint = {pair: contrast(*pair, scheme) for pair in CONTROLS if contrast(*pair, scheme) < 3}
    assert not poor
    assert not faint


def test_colours_are_tokens() -> None:
    """Outside the tokens only the bar at the top has colours of its own: it is dark in both schemes."""
    rest = re.sub(r"(?s)@layer tokens.*?\n}\n", "", CSS)
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rest)) <= {"#0f1b2a", "#e4e8ee", "#5fb0ff"}


def test_it_stays_small() -> None:
    assert len(CSS.encode()) <= 20 * 1024
    assert sum(len(path.read_bytes()) for path in STATIC.glob("*.js")) <= 14.25 * 1024
