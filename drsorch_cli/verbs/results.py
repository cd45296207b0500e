"""`report`, `evidence`, `verify`: what a finished run did, and the proof of it."""

import json
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drsorch_cli.client import Answer, Client
from drsorch_cli.exits import Exit, Stop, usage
from drsorch_cli.files import write_file
from drsorch_cli.output import Output, time_text
from drsorch_cli.verbs.runs import run_id_of

MADE_WITHIN = 600.0  # seconds that an engine may take to make the report of a large run
ASKED_EVERY = 3.0


def report(asked: Namespace, client: Client, output: Output) -> Exit:
    """The report: as text, as a JSON object, or as a file."""
    run_id = run_id_of(client, asked.run)
    form = asked.format or "json"
    content = _once_made(lambda: client.get(f"/executions/{run_id}/report", format=form), output, asked.timeout).body
    if form == "pdf" or asked.output:
        path = write_file(Path(asked.output or f"report-{run_id}.{form}"), content)
        output.result({"executionId": run_id, "format": form, "file": str(path)}, f"Written to {path}.")
    elif form == "csv":
        if output.as_json:
            output.result({"executionId": run_id, "format": form, "report": content.decode()}, "")
        else:
            output.raw(content)
    else:
        record: dict[str, Any] = json.loads(content)
        output.result(record, json.dumps(record, indent=2, ensure_ascii=False) if asked.format else _summary(record))
    return Exit.DONE


def _summary(record: dict[str, Any]) -> str:
    """The verdict, which has the figures, and when it was over."""
    return f"{record['verdict']}\nEnded {time_text(record['endTime'])}."


def evidence(asked: Namespace, client: Client, output: Output) -> Exit:
    """The evidence pack, as a file."""
    run_id = run_id_of(client, asked.run)
    path = Path(asked.output or f"evidence-{run_id}.zip")
    content = _once_made(lambda: client.post(f"/executions/{run_id}/evidence"), output, asked.timeout).body
    write_file(path, content)
    output.result(
        {"executionId": run_id, "file": str(path), "bytes": len(content)},
        f"Written to {path}. Check it: drsorch verify {path}",
    )
    return Exit.DONE


def _once_made(ask: Callable[[], Answer], output: Output, timeout: float | None) -> Answer:
    """The report of a large run is made by an engine: ask until it is there."""
    deadline = time.monotonic() + (MADE_WITHIN if timeout is None else timeout)
    said = ""
    while True:
        try:
            return ask()
        except Stop as stop:
            if stop.error != "REPORT_BEING_MADE":
                raise
            if time.monotonic() + ASKED_EVERY > deadline:
                raise Stop(Exit.TIMED_OUT, stop.message, error=stop.error, details=stop.details) from stop
            if stop.message != said:
                output.progress(stop.message)
                said = stop.message
        time.sleep(ASKED_EVERY)


def verify(asked: Namespace, output: Output) -> Exit:
    """Check a pack offline: no server is asked."""
    try:
        from drsorch_verify import archive, check
    except ImportError:
        text = "The verifier is not installed beside this. Run: pipx inject drsorch-cli ./drsorch_verify"
        raise usage(text) from None
    try:
        pack = archive.load(Path(asked.pack))
    except OSError as error:
        raise usage(f"{asked.pack} cannot be read: {error}") from error
    problems = check.problems(pack, asked.head)
    notes = [] if problems else list(check.notes(pack))
    things = "1 thing does" if len(problems) == 1 else f"{len(problems)} things do"
    text = "\n".join(
        [f"The pack does NOT hold. {things} not match:", *(f"- {each}" for each in problems)]
        if problems
        else ["The pack holds: every file, every journal entry and every figure matches.", *notes]
    )
    output.result({"pack": asked.pack, "holds": not problems, "problems": list(problems), "notes": notes}, text)
    return Exit.FAILED if problems else Exit.DONE
