"""Waiting for a run. It goes on by itself: whoever waits only looks, so that a broken connection ends nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drsorch_cli.client import NOT_MODIFIED, Answer, Client, refusal
from drsorch_cli.exits import Dropped, Exit, Stop
from drsorch_cli.output import Output

EVERY = 2.0  # seconds
FINAL = frozenset({"COMPLETED", "PARTIAL", "FAILED", "CANCELLED"})
GONE_ON = frozenset({401, 403, 404})  # no later look will be answered otherwise

Run = dict[str, Any]


@dataclass(frozen=True)
class Watch:
    """How a run is waited for. `seconds` None is without an end; `told` is what is said of it meanwhile."""

    client: Client
    output: Output
    seconds: float | None = None
    told: Callable[[Run], str] | None = None

    def until(self, run_id: str, is_over: Callable[[Run], bool]) -> Run:
        """The run, once it is over. Raises Stop (TIMED_OUT) when the time is, and when nobody may look any more."""
        deadline = None if self.seconds is None else time.monotonic() + self.seconds
        run: Run = {}
        tag, said, silent = "", "", False
        while True:
            try:
                answer = self.client.once("GET", f"/executions/{run_id}", headers={"If-None-Match": tag} if tag else {})
                silent = self._heard(silent)
                run, tag = _newer(answer, run, tag)
            except Dropped as dropped:
                silent = self._lost(silent, dropped.reason)
            except Stop as stop:  # nobody may look any more: refused, or signed out
                stop.message += " The run goes on without being watched."
                raise
            except KeyboardInterrupt:
                raise _interrupted(run_id, run) from None
            if run and (now := (self.told or told)(run)) != said:
                self.output.progress(now)
                said = now
            if run and is_over(run):
                self.output.end_progress()
                return run
            if deadline is not None and time.monotonic() + EVERY > deadline:
                raise _timed_out(run_id, run, self.seconds or 0)
            self._sleep(run_id, run)

    def _sleep(self, run_id: str, run: Run) -> None:
        try:
            time.sleep(EVERY)
        except KeyboardInterrupt:
            raise _interrupted(run_id, run) from None

    def _lost(self, silent: bool, reason: str) -> bool:
        if not silent:
            self.output.say(f"The server cannot be reached ({reason}). The run goes on; still looking.")
        return True

    def _heard(self, silent: bool) -> bool:
        if silent:
            self.output.say("The server answers again.")
        return False


def _newer(answer: Answer, run: Run, tag: str) -> tuple[Run, str]:
    """The run as it is now. Raises Stop where later looks will be answered no otherwise; Dropped for a bad moment."""
    if answer.status == NOT_MODIFIED:
        return run, tag
    if answer.status == 200 and "status" in answer.told:
        return answer.told, answer.headers.get("etag", "")
    if answer.status in GONE_ON and answer.is_ours:
        raise refusal(answer)
    raise Dropped(f"it answered {answer.status}")


def _timed_out(run_id: str, run: Run, seconds: float) -> Stop:
    state = f" It is {run['status']}." if run else ""
    return Stop(
        Exit.TIMED_OUT,
        f"The run goes on after {seconds:g} s.{state} Look again: drsorch show {run_id}",
        details={"executionId": run_id, "status": run.get("status")},
    )


def _interrupted(run_id: str, run: Run) -> Stop:
    text = f"Interrupted. The run goes on. Look again: drsorch show {run_id}"
    return Stop(Exit.INTERRUPTED, text, details={"executionId": run_id, "status": run.get("status")})


def is_final(run: Run) -> bool:
    return run["status"] in FINAL


def told(run: Mapping[str, Any]) -> str:
    """Where a run is, in a line."""
    waves = run.get("waves", [])
    servers = [server for wave in waves for server in wave["serverStatuses"]]
    up = sum(server["launchStatus"] in ("LAUNCHED", "TERMINATED") for server in servers)
    failed = sum(server["launchStatus"] == "FAILED" for server in servers)
    parts = [str(run["status"])]
    if run["status"] == "PAUSED":
        parts.append(paused(run))
    elif run["status"] not in FINAL and run.get("currentWave") is not None:
        parts.append(f"wave {run['currentWave'] + 1} of {run['totalWaves']}")
    if servers and not run.get("dryRun"):
        parts.append(f"{up} of {len(servers)} servers launched" + (f", {failed} failed" if failed else ""))
    return ", ".join(parts)


def paused(run: Mapping[str, Any]) -> str:
    """What a paused run waits for."""
    after, before = run.get("pausedAfterWave"), run.get("pausedBeforeWave")
    if after is not None:
        return f"waits for a person after wave {after + 1} failed"
    return f"waits for a person before wave {before + 1}" if before is not None else "waits for a person"


def outcome(run: Run) -> Exit:
    """A run that ended with less than it was started for has failed, whoever stopped it."""
    return Exit.DONE if run["status"] == "COMPLETED" else Exit.FAILED
