"""`drill` and `recover`."""

import re
import sys
import uuid
from argparse import Namespace
from datetime import datetime
from typing import Any

from drsorch_cli.client import Client
from drsorch_cli.exits import Dropped, Exit, Stop, usage
from drsorch_cli.output import Output
from drsorch_cli.verbs.shown import show_run
from drsorch_cli.waiting import Watch, is_final, outcome

SNAPSHOT = re.compile(r"([^=\s]+)=([^=\s]+)")  # which server and which snapshot there are, the other side knows


def drill(asked: Namespace, client: Client, output: Output) -> Exit:
    """Start a drill, and with `--wait` see it through."""
    return _start("DRILL", asked, client, output)


def recover(asked: Namespace, client: Client, output: Output) -> Exit:
    """Start a recovery. Who sits at a terminal types the plan's name, as in the console."""
    return _start("RECOVERY", asked, client, output)


def _start(kind: str, asked: Namespace, client: Client, output: Output) -> Exit:
    if asked.timeout is not None and not asked.wait:
        raise usage("--timeout says how long --wait waits. Give both.")
    plan_id, name = plan_of(client, asked.plan)
    if kind == "RECOVERY" and not asked.dry_run and not asked.yes and sys.stdin.isatty():
        have_typed(name, "A recovery launches production servers.", "Nothing was started.")
    body: dict[str, Any] = {"planId": plan_id, "executionType": kind}
    body |= {"dryRun": True} if asked.dry_run else {}
    body |= {"replaceProduction": True} if asked.replace_production else {}
    body |= {"initiatedBy": asked.initiated_by} if asked.initiated_by else {}
    body |= {"outageTime": time_of(asked.outage)} if getattr(asked, "outage", None) else {}
    body |= {"pointInTime": _point_in_time(asked.point_in_time)} if asked.point_in_time else {}
    key = asked.key or str(uuid.uuid4())
    try:
        started = client.post("/executions", body, key=key).record
    except Stop as stop:
        if stop.exit_code is Exit.UNREACHABLE:
            stop.message += f" It may have started. To find out without starting twice, send it again with --key {key}"
            stop.details["idempotencyKey"] = key
        raise
    run_id = started["executionId"]
    for each in started.get("warnings", []):
        output.say(each["message"])
    if not asked.wait:
        called = run_id if output.as_json else _called(client, run_id)
        said = f"{'Dry run' if asked.dry_run else kind.capitalize()} of “{name}” has started: run {called}."
        output.result({**started, "idempotencyKey": key}, f"{said}\nLook at it: drsorch show {called}")
        return Exit.DONE
    output.say(f"Run {_called(client, run_id)} of “{name}” has started.")
    run = Watch(client, output, asked.timeout).until(run_id, is_final)
    output.result(run, show_run(run))
    return outcome(run)


def _called(client: Client, run_id: str) -> str:
    """The number of a run that has started, which people can say. It is no reason to fail: its id, where none comes."""
    try:
        return str(client.once("GET", f"/executions/{run_id}").told.get("runNumber") or run_id)
    except Dropped:
        return run_id


def have_typed(name: str, why: str, otherwise: str) -> None:
    """Who sits at the terminal types the plan's name. Raises Stop."""
    sys.stderr.write(f"{why} Type the plan's name to go on ({name}): ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != name:
        raise Stop(Exit.FAILED, f"That is not the plan's name. {otherwise}")


def plan_of(client: Client, text: str) -> tuple[str, str]:
    """The id and the name of a plan that was given by either. Raises Stop."""
    try:
        found = client.get(f"/recovery-plans/{uuid.UUID(text)}").record
        return found["planId"], found["planName"]
    except ValueError:
        pass
    asked = client.get("/recovery-plans", name=text, fields="planId,planName").record["plans"]
    exact = [each for each in asked if each["planName"] == text]
    same = exact or [each for each in asked if each["planName"].casefold() == text.casefold()]
    if len(same) == 1:
        return same[0]["planId"], same[0]["planName"]
    near = ", ".join(f"“{each['planName']}”" for each in asked[:5])
    hint = f" There are: {near}." if near else " drsorch plans lists them."
    raise Stop(Exit.REFUSED, f"There is no recovery plan called “{text}”.{hint}", error="NOT_FOUND")


def time_of(text: str) -> int:
    """Unix seconds of a time in either spelling. Raises Stop."""
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise usage(f"{text!r} is no time with its zone. Use 2026-11-29T14:30:00Z, or seconds since 1970.")
    return int(found.timestamp())


def _point_in_time(given: list[str]) -> int | dict[str, str]:
    """One time for all servers, or a snapshot for each."""
    if len(given) == 1 and "=" not in given[0]:
        return time_of(given[0])
    pairs = [SNAPSHOT.fullmatch(each) for each in given]
    if not all(pairs):
        raise usage("--point-in-time takes one time, or SERVER=SNAPSHOT (s-…=pit-…) once for each server.")
    return {pair[1]: pair[2] for pair in pairs if pair}
