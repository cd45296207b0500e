"""Documents as they lie on a disk: a file, stdin, or the files of a directory, which are one document together."""

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drsorch_cli.exits import Exit, Stop, usage

MOST = 1_048_576  # bytes of a request, as the server takes them
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_LINE = re.compile(r"\b[Ll]ine (\d+)\b")


@dataclass(frozen=True)
class Document:
    """A text that is applied as one. `files` are those of a directory, each with its first line in the text."""

    name: str
    text: str
    files: Sequence[tuple[int, str]] = ()

    def refuse_too_large(self, size: int) -> None:
        """Before anything is sent. Raises Stop, which says what can be done."""
        if size > MOST:
            text = (
                f"{self.name} is too large: {size:,} bytes as it is sent, and a request has at most {MOST:,}. Nothing"
                " was changed. Apply it in parts of whole objects, one after another: accounts, then groups, then"
                " plans, then subscriptions. Each part is applied whole or not at all; with --prune a part must have"
                " all objects of its kinds, as it deletes the others."
            )
            raise Stop(Exit.REFUSED, text, error="PAYLOAD_TOO_LARGE", details={"maxBytes": MOST, "bytes": size})

    def placed(self, stop: Stop) -> Stop:
        """The same refusal, with lines as those of the files that have them."""
        fields = stop.details.get("fields")
        if self.files and isinstance(fields, dict):
            stop.message = self._placed(stop.message)
            stop.details["fields"] = {path: self._each(texts) for path, texts in fields.items()}
        return stop

    def _each(self, texts: Any) -> Any:
        return [self._placed(str(each)) for each in texts] if isinstance(texts, list) else texts

    def _placed(self, text: str) -> str:
        return "\n".join(_LINE.sub(self._place, each, count=1) for each in text.split("\n"))

    def _place(self, found: re.Match[str]) -> str:
        line = int(found[1])
        first, name = self.files[max(0, bisect_right(self.files, line, key=lambda each: each[0]) - 1)]
        return f"{name}, line {max(1, line - first + 1)}"


def read(name: str) -> Document:
    """Raises Stop."""
    if name != "-" and Path(name).is_dir():
        return _joined(name, Path(name))
    return Document(name, _text(name))


def _joined(name: str, folder: Path) -> Document:
    """All documents below a directory in one, so that they are applied together or not at all."""
    parts, files, line = list[str](), list[tuple[int, str]](), 1
    for path in _below(folder):
        text = _text(str(path))
        first = _first_line(text)
        if not first:
            continue
        head = "" if first.startswith(("---", "%")) else "---\n"
        files.append((line + len(head.splitlines()), str(path)))
        parts.append(f"{head}{text}" if text.endswith("\n") else f"{head}{text}\n")
        line += parts[-1].count("\n")
    if not parts:
        raise usage(f"{name} has no documents: files that end with {', '.join(sorted(SUFFIXES))}.")
    return Document(name, "".join(parts), files)


def _first_line(text: str) -> str:
    """The first one that says something, as it is written; empty if none does."""
    lines = (each for each in text.split("\n") if each.strip() and not each.lstrip().startswith("#"))
    return next(lines, "")


def _below(folder: Path) -> Iterator[Path]:
    """Files by their names; what is hidden, such as .git, is none of them."""
    for path in sorted(folder.rglob("*")):
        is_hidden = any(each.startswith(".") for each in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden:
            yield path


def _text(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise usage(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise usage(f"{name} is no text in UTF-8.") from None
    if not text.strip():
        raise usage(f"{name} is empty.")
    return text
