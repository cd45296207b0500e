"""The documentation of this very version as chapters of the console: at 3 a.m. the internet may be what is down."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# For who changes the program; they read it where the program is.
DEVELOPERS = {"field", "requirements"}
ELSEWHERE = {"security": "SECURITY.md", "iam": "deploy/iam/README.md", "command-line": "drsorch_cli/README.md"}
FIRST = "README"


@dataclass(frozen=True)
class Section:
    """A heading of the second order, and the part of its address after the #."""

    anchor: str
    title: str


@dataclass(frozen=True)
class Chapter:
    """One file of the documentation, as HTML."""

    name: str
    title: str
    html: SafeString
    sections: tuple[Section, ...]


@cache
def files() -> dict[str, Path]:
    """The file of each chapter by its name in addresses."""
    root = Path(settings.BASE_DIR)
    docs = {path.stem: path for path in sorted((root / "docs").glob("*.md")) if path.stem not in DEVELOPERS}
    return docs | {name: root / path for name, path in ELSEWHERE.items() if (root / path).is_file()}


@cache
def images() -> dict[str, Path]:
    """The pictures of the documentation by their names."""
    return {path.name: path for path in sorted((Path(settings.BASE_DIR) / "docs" / "images").glob("*.png"))}


@cache
def read(name: str) -> Chapter:
    """Read once a process: files of an installation do not change. KeyError for a name that is no chapter's."""
    path = files()[name]
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text())
    title, sections = _with_anchors(tokens)
    for each in tokens:
        if each.type == "inline":
            each.children = list(_with_links(each.children or [], path))
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="table-scroll"><table>').replace("</table>", "</table></div>")
    html = html.replace("<pre>", '<pre tabindex="0">')  # who has no mouse scrolls them, too
    return Chapter(name, title, mark_safe(html), sections)  # noqa: S308  # ours; raw HTML in it is escaped


def _with_anchors(tokens: Sequence[Token]) -> tuple[str, tuple[Section, ...]]:
    """The title; and every heading gets the anchor by which other chapters link to it."""
    title, sections = "", []
    for opening, content in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(each.content for each in content.children or [])
        opening.attrSet("id", anchor(text))
        if opening.tag == "h1":
            title = text
        elif opening.tag == "h2":
            sections.append(Section(anchor(text), text))
    return title, tuple(sections)


def anchor(text: str) -> str:
    """As where the files are read otherwise: “Lost the database” is at #lost-the-database."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _with_links(tokens: Sequence[Token], path: Path) -> Iterator[Token]:
    """Links to other chapters lead to their pages here; what is no chapter is named and not linked."""
    linked: list[bool] = []
    for each in tokens:
        if each.type == "link_open":
            linked.append(_lead(each, "href", path))
        elif each.type == "image":
            _lead(each, "src", path)
        kept = each.type not in ("link_open", "link_close") or linked[-1]
        if each.type == "link_close":
            linked.pop()
        if kept:
            yield each


def _lead(token: Token, attribute: str, path: Path) -> bool:
    address = _address(str(token.attrGet(attribute)), path)
    token.attrSet(attribute, address)
    return bool(address)


def _address(target: str, path: Path) -> str:
    """Where a link of this file leads in the console; empty where it leads to nothing that is here."""
    parts = urlsplit(target)
    if parts.scheme or not parts.path:
        return target
    file = (path.parent / parts.path).resolve()
    if file.name in images() and file == images()[file.name].resolve():
        return reverse("manual-image", args=[file.name])
    for name, known in files().items():
        if known.resolve() == file:
            return reverse("manual-chapter", args=[name]) + (f"#{parts.fragment}" if parts.fragment else "")
    return ""


def contents() -> list[dict[str, Any]]:
    """Names and titles of all chapters in the order of the first one, which lists them."""
    order = re.findall(r"\]\(([^)#]+\.md)\)", files()[FIRST].read_text())
    paths = [(files()[FIRST].parent / each).resolve() for each in order]
    found = {path.resolve(): name for name, path in files().items()}
    names = [FIRST, *(found[path] for path in paths if path in found)]
    return [{"name": name, "title": read(name).title} for name in dict.fromkeys(names)]
