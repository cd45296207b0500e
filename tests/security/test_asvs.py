"""Every test that SECURITY.md names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([\d., ]+) \| [^|]+ \| `([^`]+)` \|$", re.MULTILINE)


def rows() -> list[tuple[str, str]]:
    return ROW.findall((ROOT / "SECURITY.md").read_text())


def test_the_table_covers_the_chapters_that_apply() -> None:
    chapters = {item.split(".")[0] for items, _ in rows() for item in items.split(", ")}
    assert chapters == {"1", "2", "3", "4", "6", "7", "8", "9", "10", "13", "14", "16"}
    assert len(rows()) > 40


@pytest.mark.parametrize("named", sorted({test for _, test in rows()}))
def test_the_named_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    found = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
    assert name in found if name else any(each.startswith("test_") for each in found)
