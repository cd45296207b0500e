"""The documentation reads as one book: every page is in its index, and every link leads to a file and a heading."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from executions.states import ExecutionStatus, JobStatus, LaunchStatus, Phase, TerminationStatus, Verdict, WaveStatus
from notify.states import DeliveryStatus
from protection.states import ServerState
from tests.console.browsers.screenshots import RAW_ERROR
from tests.test_architecture import ROOMS, repository_files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUTSIDE = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "deploy/iam/README.md")
PAGES = sorted({*DOCS.rglob("*.md"), *(ROOT / name for name in OUTSIDE)})
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its code: what stands in a fence or in backticks is no link and no heading."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: code[0] if "](" not in code[0] else "", text)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What GitHub makes of the headings."""
    titles = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[*`]|\]\([^)]*\)|\[", "", title).lower() for title in titles]
    return frozenset(re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in plain)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link of a page to another of ours."""
    for link in LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", link):
            file, _, anchor = link.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


def problems(page: Path) -> Iterator[str]:
    for file, anchor in links(page):
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: {file} does not exist"
        elif anchor and anchor not in anchors(file):
            yield f"{page.relative_to(ROOT)}: {file.name} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(problems(page)) == []


def test_every_file_that_is_named_exists() -> None:
    """But the changelog may name what was, and ARCHITECTURE.md names files by their room."""
    named = re.compile(r"`((?:[a-z_.]+/)+[\w.@*-]+\.(?:py|js|json|yaml|toml|service))(?:::\w+)?`")
    texts = {page: page.read_text() for page in PAGES if page.name not in ("CHANGELOG.md", "ARCHITECTURE.md")}
    missing = {
        (page.name, path) for page, text in texts.items() for path in named.findall(text) if not any(ROOT.glob(path))
    }
    assert missing == set()


def test_it_knows_headings_and_links() -> None:
    page = DOCS / "faq.md"
    assert "why-not-the-recovery-plans-of-drs-itself" in anchors(page)
    assert "no-such-heading" not in anchors(page)
    assert (DOCS / "api.md", "") in set(links(page))


def test_every_page_is_in_its_index_and_leads_back() -> None:
    book = {file for file, _ in links(DOCS / "README.md")}
    decisions = {file for file, _ in links(DOCS / "adr/README.md")}
    assert {page for page in DOCS.glob("*.md") if page.name != "README.md"} <= book
    assert {page for page in (DOCS / "adr").glob("*.md") if page.name != "README.md"} <= decisions
    for page in DOCS.rglob("*.md"):
        if page != DOCS / "README.md":
            index = page.parent / "README.md" if page.name != "README.md" else DOCS / "README.md"
            assert index in {file for file, _ in links(page)}, f"{page.name} does not lead back to {index}"


def test_every_decision_has_its_number_date_and_status() -> None:
    """And the index says the same of it as the file."""
    index = (DOCS / "adr/README.md").read_text()
    for page in (DOCS / "adr").glob("0*.md"):
        found = re.search(r"^# (\d+)\. (.+)\n\n(\d{4}-\d\d-\d\d)\. (\w+)", page.read_text(), re.MULTILINE)
        assert found, f"{page.name} does not say its number, title, date and status"
        assert f"{int(found[1]):04d}" == page.name[:4]
        assert f"| [{page.name[:4]}]({page.name}) | {found[2]} | {found[3]} | {found[4]}" in index, page.name


def test_every_picture_is_shown() -> None:
    shown = {file for page in PAGES for file, _ in links(page)}
    assert [picture.name for picture in sorted((DOCS / "images").iterdir()) if picture not in shown] == []


def test_the_version_is_that_of_pyproject_and_the_changelog_begins_with_it() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == settings.VERSION
    first = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    released, _, development = version.partition(".dev")
    assert first.startswith(f"Unreleased ({released})" if development else f"{released} (")


def test_the_tutorial_does_what_its_pictures_show() -> None:
    page, server = (DOCS / "tutorial.md").read_text(), (ROOT / "script/server").read_text()
    assert f'"raw_error": "{RAW_ERROR}"' in page
    files = set(re.findall(r"var/[a-z]+\.pid", page))
    assert files == {"var/engine.pid", "var/supervisor.pid"}
    assert all(f">{file}" in server for file in files)


BRITISH = re.compile(
    r"\w*(?:colour|behaviour|favour|initialis|authoris|recognis|organis|summaris|normalis|minimis|prioritis|synchronis"
    r"|practise|licence|defence|centre\b|catalogue|labell(?:ed\b|ing)|judgement|artefact|neighbour)\w*",
    re.IGNORECASE,
)


@pytest.mark.slow
def test_it_is_spelled_the_american_way() -> None:
    """The documentation, but for what it quotes as code, and all of the product: names, comments and sentences."""
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]
    texts = {str(page): re.sub(r"`[^`\n]*`", "", prose(page)) for page in pages}
    ours = re.compile(rf"(?:templates|static|{'|'.join(ROOMS)})/.*\.(?:py|html|js|css)")
    texts |= {name: (ROOT / name).read_text() for name in repository_files() if ours.fullmatch(name)}
    assert {name: found for name, text in texts.items() if (found := BRITISH.findall(text))} == {}


def test_the_concepts_explain_every_status_and_term() -> None:
    page = (DOCS / "concepts.md").read_text()
    _, statuses = page.split("## Statuses, and who moves them on")
    kinds = (ExecutionStatus, WaveStatus, LaunchStatus, Phase, JobStatus, TerminationStatus, ServerState, Verdict)
    labels = [each.label for kind in (*kinds, DeliveryStatus) for each in kind]
    assert [each for each in labels if not re.search(rf"\b{re.escape(each)}\b", statuses)] == []
    tables = [ExecutionStatus, WaveStatus, LaunchStatus, JobStatus, TerminationStatus]
    rows = Counter(re.findall(r"^\| ([A-Z][^|]*) \|", statuses, re.MULTILINE))
    assert rows == Counter(each.label for kind in tables for each in kind)
    terms = [
        *["group", "plan", "wave", "run", "gate", "hold", "claim", "intent", "adoption", "evidence", "seal", "ledger"],
        "launch job",
    ]
    told = " ".join(re.findall(r"^\| \*\*(.*?)\|", page, re.MULTILINE))
    assert [each for each in terms if not re.search(rf"\b{each}\b", told)] == []
