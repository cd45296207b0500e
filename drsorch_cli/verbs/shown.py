"""A run, and lists of runs, as text."""

from typing import Any

from drsorch_cli.output import span_text, table, time_text
from drsorch_cli.waiting import FINAL, Run, told

HERE = frozenset({"resume", "cancel", "terminate"})  # what this program can do of what may be done


def show_run(run: Run) -> str:
    """What somebody asks at three in the morning: where it is, what failed and why, what can be done."""
    kind = "Dry run" if run["dryRun"] else str(run["executionType"]).capitalize()
    started, number = time_text(run["startTime"]), f"Run {run['runNumber']}, " if run.get("runNumber") else "Run "
    lines = [
        f"{kind} of “{run['planName']}”: {told(run)}",
        f"{number}{run['executionId']}, started {started} by {run['startedBy']}, took {span_text(run['duration'])}"
        if run["status"] in FINAL
        else f"{number}{run['executionId']}, started {started} by {run['startedBy']}, {span_text(run['duration'])} ago",
    ]
    if run.get("stalledSince"):
        lines.append(f"Nothing was heard of it since {time_text(run['stalledSince'])}.")
    if trouble := run.get("awsTrouble"):
        lines.append(f"Waiting for AWS since {time_text(trouble['since'])}. {trouble['message']}")
    if run.get("errorMessage"):
        lines.append(": ".join(filter(None, (run["errorCode"], run["errorMessage"]))))
    if run.get("serversLeftOut"):
        lines.append(f"Left out by a person: {run['serversLeftOut']}")
    lines += ["", table(["WAVE", "NAME", "STATUS", "SERVERS", "TOOK"], [_wave(each, run) for each in run["waves"]])]
    bad = [_bad(server) for wave in run["waves"] for server in wave["serverStatuses"] if is_bad(server)]
    if bad:
        lines += ["", table(["SERVER", "STATUS", "WHY"], bad)]
    possible = [name for name, action in run["actions"].items() if action["allowed"]]
    here, elsewhere = [each for each in possible if each in HERE], [each for each in possible if each not in HERE]
    lines += ["", f"Possible now: {', '.join(here)}"] if here else []
    lines += ["", f"Possible in the console: {', '.join(elsewhere)}"] if elsewhere else []
    return "\n".join(lines)


def _wave(wave: dict[str, Any], run: Run) -> list[object]:
    servers = wave["serverStatuses"]
    up = sum(each["launchStatus"] in ("LAUNCHED", "TERMINATED") for each in servers)
    return [
        wave["waveNumber"] + 1,
        wave["waveName"],
        wave["status"],
        str(len(servers)) if run["dryRun"] else f"{up}/{len(servers)}",
        span_text(wave["duration"]),
    ]


def is_bad(server: dict[str, Any]) -> bool:
    """Whether somebody has to look at it."""
    told = (server["excluded"], server["findings"], server.get("notLaunched"))
    return server["launchStatus"] == "FAILED" or any(told)


def _bad(server: dict[str, Any]) -> list[object]:
    findings = "; ".join(f"{each['severity']} {each['message']}" for each in server["findings"])
    left_out = f"left out: {server['excluded']['reason']}" if server["excluded"] else ""
    return [
        server["hostname"],
        server["launchStatus"],
        left_out or server["error"] or server.get("notLaunched") or findings,
    ]


def show_runs(runs: list[Run]) -> str:
    rows = [
        [
            each["runNumber"] or each["executionId"],
            each["planName"],
            "DRY RUN" if each["dryRun"] else each["executionType"],
            each["status"],
            time_text(each["startTime"]),
            span_text(each["duration"]),
        ]
        for each in runs
    ]
    return table(["RUN", "PLAN", "KIND", "STATUS", "STARTED", "TOOK"], rows) if rows else "There are no such runs."


def show_plans(plans: list[dict[str, Any]]) -> str:
    rows = [
        [
            each["planName"],
            each["waveCount"],
            each["serverCount"],
            each["lastExecutionStatus"] or "never run",
            time_text(each["lastStartTime"]),
            "yes" if each["canExecute"] else each["blockedReason"],
        ]
        for each in plans
    ]
    heads = ["PLAN", "WAVES", "SERVERS", "LAST RUN", "STARTED", "CAN START"]
    return table(heads, rows) if rows else "There are no such plans."
