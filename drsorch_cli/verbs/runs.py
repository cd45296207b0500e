"""`runs`, `show`, `resume`, `approve`, `cancel`, `terminate`."""

import re
import sys
import uuid
from argparse import Namespace
from typing import Any

from drsorch_cli.client import Client
from drsorch_cli.exits import Exit, Stop, usage
from drsorch_cli.output import Output, table, time_text
from drsorch_cli.verbs.shown import show_plans, show_run, show_runs
from drsorch_cli.verbs.starts import have_typed, plan_of
from drsorch_cli.waiting import Run, Watch, is_final, outcome

NUMBER = re.compile(r"#?([0-9]{1,10})", re.ASCII)  # an id has more
CLEANED_UP = frozenset({"COMPLETED", "PARTIAL"})


def runs(asked: Namespace, client: Client, output: Output) -> Exit:
    """The newest runs."""
    plan_id = plan_of(client, asked.plan)[0] if asked.plan else None
    found = client.get("/executions", planId=plan_id, status=asked.status, limit=asked.limit).record
    output.result(found, show_runs(found["items"]))
    return Exit.DONE


def plans(asked: Namespace, client: Client, output: Output) -> Exit:
    """All plans, or those with a text in their name."""
    fields = "planId,planName,waveCount,serverCount,lastExecutionStatus,lastStartTime,canExecute,blockedReason"
    found = client.get("/recovery-plans", name=asked.name, fields=fields).record
    output.result(found, show_plans(found["plans"]))
    return Exit.DONE


def show(asked: Namespace, client: Client, output: Output) -> Exit:
    """One run."""
    run = client.get(f"/executions/{run_id_of(client, asked.run)}").record
    output.result(run, show_run(run))
    return Exit.DONE


def run_id_of(client: Client, text: str) -> str:
    """The id of a run that was named by it or by its number. Raises Stop."""
    if number := NUMBER.fullmatch(text):
        found = client.get("/executions", runNumber=number[1], limit=1).record["items"]
        if not found:
            raise Stop(Exit.REFUSED, f"There is no run {number[1]}. drsorch runs lists them.", error="NOT_FOUND")
        return str(found[0]["executionId"])
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise usage(f"{text!r} is no number and no id of a run. drsorch runs lists them.") from None


def resume(asked: Namespace, client: Client, output: Output) -> Exit:
    """Let a paused run go on."""
    run_id = run_id_of(client, asked.run)
    body: dict[str, Any] = {"comment": asked.comment} if asked.comment else {}
    body |= {"waveNumber": asked.wave - 1} if asked.wave is not None else {}
    if asked.break_glass:
        if not asked.reason:
            raise usage("--break-glass needs a --reason, which everybody is told.")
        body |= {"breakGlass": True, "reason": asked.reason}
    if asked.check:
        body |= {"checklist": _checked(asked.check, client, run_id)}
    return _commanded(asked, client, output, run_id, "resume", body)


def cancel(asked: Namespace, client: Client, output: Output) -> Exit:
    """Stop a run. With `--wait` it is done once the run has ended, CANCELLED or because it was faster."""
    body = {"comment": asked.comment} if asked.comment else {}
    return _commanded(asked, client, output, run_id_of(client, asked.run), "cancel", body)


def _commanded(asked: Namespace, client: Client, output: Output, run_id: str, verb: str, body: dict[str, Any]) -> Exit:
    if asked.timeout is not None and not asked.wait:
        raise usage("--timeout says how long --wait waits. Give both.")
    done = client.post(f"/executions/{run_id}/{verb}", body).record
    if not asked.wait:
        output.result(done, f"{done['message']}.")
        return Exit.DONE
    output.say(f"{done['message']}.")
    run = Watch(client, output, asked.timeout).until(run_id, is_final)
    output.result(run, show_run(run))
    return Exit.DONE if verb == "cancel" and run["status"] == "CANCELLED" else outcome(run)


def approve(asked: Namespace, client: Client, output: Output) -> Exit:
    """Approve at the gate at which a run waits: what was looked at, and nothing that came after it."""
    run_id = run_id_of(client, asked.run)
    if asked.decline:
        if not asked.reason:
            raise usage("--decline needs a --reason.")
        done = client.post(f"/executions/{run_id}/decline", {"reason": asked.reason}).record
        output.result(done, f"{done['message']}.")
        return Exit.DONE
    digest = asked.digest
    if not digest:
        gate = client.get(f"/executions/{run_id}/gate").record
        if not gate.get("approvals"):
            raise usage(f"This pause waits for no approvals. Let the run go on: drsorch resume {asked.run}")
        output.say(_gate_text(gate))
        if not sys.stdin.isatty():
            text = f"Nothing was approved. Who has looked at this approves it with --digest {gate['digest']}"
            raise Stop(Exit.USAGE, text, details={"gate": gate})
        sys.stderr.write("Approve this? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stop(Exit.FAILED, "Nothing was approved.")
        digest = gate["digest"]
    body: dict[str, Any] = {"digest": digest, "checklist": _checked(asked.check, client, run_id)}
    body |= {"comment": asked.comment} if asked.comment else {}
    done = client.post(f"/executions/{run_id}/approve", body).record
    output.result(done, f"{done['message']}.")
    return Exit.DONE


def _gate_text(gate: dict[str, Any]) -> str:
    items = [f"  {number}. {text}" for number, text in enumerate(gate.get("checklist", []), 1)]
    given = f"{gate.get('approvalsGiven', 0)} of {gate.get('approvals', 0)} approvals given"
    return "\n".join(
        [
            f"Gate before wave {gate['waveNumber'] + 1}, “{gate['waveName']}”: {given}.",
            f"The run was started by {gate['startedBy']}.",
            f"It lapses at {time_text(gate.get('expiresTime'))}.",
            *(["Checklist (--check NUMBER, or --check all):", *items] if items else []),
            f"Digest of what you look at: {gate['digest']}",
        ]
    )


def _checked(given: list[str], client: Client, run_id: str) -> list[int]:
    """Items of a checklist as the API numbers them, from 0; people count from 1."""
    if given == ["all"]:
        return list(range(len(client.get(f"/executions/{run_id}/gate").record.get("checklist", []))))
    if not all(each.isascii() and each.isdecimal() and int(each) for each in given):
        raise usage("--check takes the number of an item, from 1, or all.")
    return sorted({int(each) - 1 for each in given})


def terminate(asked: Namespace, client: Client, output: Output) -> Exit:
    """End the instances that a run launched; with `--wait` until DRS says what became of each."""
    run_id = run_id_of(client, asked.run)
    if asked.timeout is not None and not asked.wait:
        raise usage("--timeout says how long --wait waits. Give both.")
    if not asked.yes:
        _confirm_end(client.get(f"/executions/{run_id}").record)
    body = {"comment": asked.comment} if asked.comment else {}
    done = client.post(f"/executions/{run_id}/terminate-instances", body).record
    failed = [*done.get("failed", []), *done.get("unknown", [])]
    if asked.wait and not failed and (done.get("terminated") or done.get("jobs")):
        output.say(f"{done['message']}.")
        run = Watch(client, output, asked.timeout, told=_cleaning_up).until(run_id, _is_cleaned_up)
        output.result(run, f"Termination: {run['terminationStatus']}.")
        return Exit.DONE if run["instancesTerminated"] else Exit.FAILED
    rows = [[each["recoveryInstanceId"], each["code"], each["message"]] for each in failed]
    text = f"{done['message']}." + (f"\n\n{table(['INSTANCE', 'CODE', 'WHY'], rows)}" if rows else "")
    output.result(done, text)
    return Exit.FAILED if failed else Exit.DONE


def _confirm_end(run: Run) -> None:
    """Production is ended by no wrong number: of a recovery the plan's name is typed, as in the console, and a script,
    in which nobody types, says --yes."""
    if run["executionType"] != "RECOVERY" or run["dryRun"]:
        return
    why = "This run is a recovery: its instances may be production."
    if not sys.stdin.isatty():
        raise usage(f"{why} Nothing was terminated. A script that means them gives --yes.")
    have_typed(run["planName"], why, "Nothing was terminated.")


def _cleaning_up(run: Run) -> str:
    servers = [server for wave in run["waves"] for server in wave["serverStatuses"]]
    gone = sum(server["launchStatus"] == "TERMINATED" for server in servers)
    return f"Termination: {run['terminationStatus']}, {gone} terminated"


def _is_cleaned_up(run: Run) -> bool:
    return bool(run["instancesTerminated"]) or run["terminationStatus"] in CLEANED_UP
