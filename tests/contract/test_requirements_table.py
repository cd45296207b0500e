"""docs/requirements.md names a test for every requirement, and some test knows every code of the contract."""

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

# Section 7 of the contract.
CODES = [
    "VALIDATION_ERROR",
    "MALFORMED_JSON",
    "INVALID_REGION",
    "INVALID_SERVER_IDS",
    "REGION_IMMUTABLE",
    "PLAN_HAS_NO_WAVES",
    "EXECUTION_NOT_PAUSED",
    "EXECUTION_NOT_CANCELLABLE",
    "EXECUTION_NOT_PAUSABLE",
    "EXECUTION_NOT_ABANDONABLE",
    "EXECUTION_STILL_RUNNING",
    "EXECUTION_NOT_RETRYABLE",
    "REGION_NOT_ENABLED",
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "PG_NAME_EXISTS",
    "SERVER_ASSIGNMENT_CONFLICT",
    "PG_IN_ACTIVE_EXECUTION",
    "SERVER_IN_USE_BY_PLAN",
    "PG_IN_USE",
    "RP_NAME_EXISTS",
    "PLAN_HAS_ACTIVE_EXECUTION",
    "PLAN_ALREADY_EXECUTING",
    "SERVER_CONFLICT",
    "VERSION_CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "IDEMPOTENCY_KEY_REUSED",
    "THROTTLED",
    "INTERNAL_ERROR",
    "DRS_ACCESS_DENIED",
    "DRS_UNAVAILABLE",
    "DRS_THROTTLED",
    "WAVE_TIMEOUT",
    "AWS_NOT_ANSWERING",
    "SERVER_LAUNCH_FAILED",
    "LAUNCH_REJECTED",
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
