"""`drsorch` as its users run it: a process of its own, with nothing of ours in its environment but what is said."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "drsorch_cli"]


@dataclass
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        """The one object that `--json` puts on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass
class Program:
    """`drsorch` with an address and a token, in a folder of its own."""

    folder: Path
    url: str
    token: str
    extra: dict[str, str] = field(default_factory=dict)

    def begin(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return self._begin(arguments, environment, subprocess.PIPE)

    def _begin(self, arguments: tuple[str, ...], environment: dict[str, str], stdin: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # although the tests may ignore it
        )

    @property
    def environment(self) -> dict[str, str]:
        given = {"DRSORCH_URL": self.url, "DRSORCH_TOKEN": self.token} if self.token else {}
        home = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return home | given | self.extra

    def run(self, *arguments: str, typed: str = "", **environment: str) -> Ended:
        return end(self.begin(*arguments, **environment), typed)

    def at_terminal(self, *arguments: str, typed: str) -> Ended:
        """As somebody runs it who types a line."""
        keyboard, terminal = os.openpty()
        try:
            process = self._begin(arguments, {}, terminal)
            os.write(keyboard, f"{typed}\n".encode())
            return end(process)
        finally:
            os.close(keyboard)
            os.close(terminal)

    def ok(self, *arguments: str, typed: str = "", code: int = 0) -> Any:
        """The object of a command that must end so."""
        ended = self.run(*arguments, "--json", typed=typed)
        assert ended.code == code, ended
        assert not self.token or self.token not in ended.out + ended.err
        return ended.record


def end(process: "subprocess.Popen[str]", typed: str = "") -> Ended:
    try:
        out, err = process.communicate(typed if process.stdin else None, timeout=60)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)
