"""docs/requirements.md names a test for every requirement, and some test knows every code that a run may end with."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
TABLE = (ROOT / "docs" / "requirements.md").read_text()
ROW = re.compile(r"^\| (N?FR-[\d.]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

# Headings of the specification: FR-1.1 to FR-1.6, and so on.
SECTIONS = {1: 6, 2: 5, 3: 12, 4: 1, 5: 2}
REQUIREMENTS = [f"FR-{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
QUALITIES = ["NFR-1", "NFR-2", "NFR-3", "NFR-4", "NFR-5"]

# What section 7 of the contract has for runs and waves; test_codes.py asks for each of the others.
CODES = [
    "WAVE_TIMEOUT",
    "AWS_NOT_ANSWERING",
    "SERVER_LAUNCH_FAILED",
    "LAUNCH_REJECTED",
    "DRS_ACCESS_DENIED",
    "REGION_NOT_INITIALIZED",
    "DRS_QUOTA_EXCEEDED",
    "PAUSE_EXPIRED",
]


def rows() -> dict[str, list[tuple[str, str]]]:
    """The tests that the table names for each requirement."""
    return {requirement: NAMED.findall(tests) for requirement, tests in ROW.findall(TABLE)}


@cache
def names_in(path: str) -> frozenset[str]:
    file = ROOT / path
    tree = ast.parse(file.read_text() if file.exists() else "")
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))


@cache
def words_of_tests() -> frozenset[str]:
    """Every string in a test file, but those of this one."""
    files = [each for each in TESTS.rglob("test_*.py") if each != Path(__file__).resolve()]
    nodes = [node for each in files for node in ast.walk(ast.parse(each.read_text()))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return frozenset(word for text in texts for word in re.findall(r"[A-Z_]{5,}", text))


@pytest.mark.parametrize("requirement", [*REQUIREMENTS, *QUALITIES])
def test_a_requirement_has_its_proof(requirement: str) -> None:
    assert rows().get(requirement), f"docs/requirements.md names no test for {requirement}"


def test_the_table_has_no_other_lines() -> None:
    assert list(rows()) == [*REQUIREMENTS, *QUALITIES]


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(TABLE))))
def test_the_named_test_exists(path: str, name: str) -> None:
    assert name in names_in(path), f"there is no {path}::{name}"


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_known_to_a_test(code: str) -> None:
    assert code in words_of_tests(), f"no test says {code!r}"
