"""The tables of codes in docs/runbook.md, made of `executions/codes`.

To write them anew after a change: python -m tests.environment python -m tests.support.codes_table
"""

from collections.abc import Iterator
from pathlib import Path

from executions.codes.aws import AWS_REASONS
from executions.codes.entry import Where
from executions.codes.explain import EVERY_CODE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
BEGIN = "\n## What a code means\n"  # the last section
INTRO = """\
Every code of a run, of what stands against it, and of a refused start or command. The page, the report and the
notification of a run say the same beside AWS's own text.
"""


def section() -> str:
    """The section as it has to stand in the runbook."""
    return "\n".join([INTRO, *_ours(), "### What AWS says\n", *_of_aws()]) + "\n"


def _ours() -> Iterator[str]:
    for where in Where:
        yield f"### {where.value[0].upper()}{where.value[1:]}\n"
        yield from _table("code", [(f"`{e}`", e.meaning, e.advice) for e in EVERY_CODE if where in e.entry.where])


def _of_aws() -> Iterator[str]:
    yield from _table(
        "in AWS's text",
        [
            (", ".join(f"`{mark}`" for mark in each.marks), each.explanation.meaning, each.explanation.advice)
            for each in AWS_REASONS
        ],
    )


def _table(head: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"| {head} | it means | try |\n|---|---|---|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def written(page: str) -> str:
    """The page with the section as it has to be."""
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n{section().rstrip()}\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
