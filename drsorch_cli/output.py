"""What a command says: one JSON object or text on stdout, progress and troubles on stderr."""

import io
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO


def visible(text: str) -> str:
    """The text with everything spelled out that could steer a terminal or hide: a server tells what others typed."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def time_text(seconds: int | None) -> str:
    """A time as the console writes it, or a dash."""
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span_text(seconds: int | None) -> str:
    """Such as 1 h 05 min, or 40 s."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell."""
    cells = [list(heads), *([visible(str(cell)).replace("\n", " ") for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


class Output:
    """Where a command writes to. With `--json` stdout gets exactly one object, whatever happens."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._line = 0  # how wide the progress line on the terminal is
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:  # it was closed by whoever called
                setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  (as long as the process lives)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a letter that a terminal lacks ends no command

    def result(self, record: dict[str, Any], text: str) -> None:
        """What the command is about: the object with `--json`, else the text."""
        self.end_progress()
        if self.as_json:
            _write(sys.stdout, json.dumps(record, ensure_ascii=False))
        elif text:
            _write(sys.stdout, visible(text))

    def raw(self, content: bytes) -> None:
        """A file of the server's, as it is, on stdout."""
        self.end_progress()
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        """A sentence for a person, beside the result."""
        self.end_progress()
        _write(sys.stderr, visible(text))

    def progress(self, text: str) -> None:
        """How far something is: one line that changes on a terminal, else a line each."""
        text = visible(text).replace("\n", " ")
        if not sys.stderr.isatty():
            _write(sys.stderr, text)
            return
        sys.stderr.write("\r" + text.ljust(self._line))
        sys.stderr.flush()
        self._line = len(text)

    def close(self) -> None:
        """Nothing more goes to stdout, also what it still holds."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def end_progress(self) -> None:
        """Leave the line on the terminal as it is, and go on below it."""
        if self._line:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._line = 0


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
