"""Which tests play which case of docs/field.md, by the marker `field`. `python -m tests.field_table` writes it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "field.md"
ROW = re.compile(r"^\| (?P<case>[AB]\d+) \|(?P<said>.*)\|(?P<tests>[^|]*)\|$", re.MULTILINE)
OPEN = re.compile(r"^Still open, with no test yet: (?P<cases>.*)\.$", re.MULTILINE)


def cases_of(decorators: Sequence[ast.expr]) -> Iterator[str]:
    for each in decorators:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.field":
            yield from (str(ast.literal_eval(argument)) for argument in each.args)


def played() -> dict[str, list[str]]:
    """The tests of each case that any test is marked with, as `file::name`, or `file` where all of it is."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if "mark.field(" not in text:
            continue
        tree = ast.parse(text)
        for case in of_the_file(tree):
            found[case].append(f"{path.relative_to(ROOT)}")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for case in cases_of(node.decorator_list):
                    found[case].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def of_the_file(tree: ast.Module) -> Iterator[str]:
    """The cases that `pytestmark` names: every test of the file plays them."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from cases_of(node.value.elts if isinstance(node.value, ast.List) else [node.value])


def key(case: str) -> tuple[str, int]:
    return case[0], int(case[1:])


def cases(page: str) -> list[str]:
    return [row["case"] for row in ROW.finditer(page)]


def still_open(page: str) -> set[str]:
    """The explicit list at the top of the page."""
    found = OPEN.search(page)
    return set() if found is None or found["cases"] == "none" else set(found["cases"].split(", "))


def written(page: str, tests: Mapping[str, Sequence[str]]) -> str:
    """The page with its last column as the tests are, and its list without those that have one by now."""

    def row(match: re.Match[str]) -> str:
        names = "<br>".join(f"`{each}`" for each in tests.get(match["case"], ())) or "open"
        return f"| {match['case']} |{match['said']}| {names} |"

    left = ", ".join(sorted(still_open(page) - set(tests), key=key)) or "none"
    return OPEN.sub(f"Still open, with no test yet: {left}.", ROW.sub(row, page))


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), played()))
