"""A Lambda function that starts a run of one plan, and waits until it is over: a step of ARC Region switch, or the
target of an EventBridge schedule. Standard library alone; docs/recipes.md says how to set it up.

Environment: DRSORCH_URL, DRSORCH_TOKEN (of a service token), PLAN_ID, EXECUTION_TYPE (DRILL or RECOVERY). Region switch
names its execution and the step in the event (`ExecutionId`, `StepName`), anybody else gives an `executionId`: calls
with the same are one run. An event without is refused, since a second call could not be told from a new one. With
`"wait": false` the function returns once the run has started.
"""

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

OVER = ("COMPLETED", "PARTIAL", "FAILED", "CANCELLED")
POLL_SECONDS = 10.0
MARGIN_SECONDS = 20.0  # before Lambda ends the function, which would look like a crash
NAMELESS = (
    "Nothing was started: the event has no executionId (Region switch: no ExecutionId, as where the payload of its"
    " block is no JSON object), so that two calls for one run would be two runs. Give it one."
)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is carried to no other address."""

    def redirect_request(self, *args: Any, **given: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects())


class NotOver(Exception):
    """The run goes on. Region switch calls again after its retry interval, and that finds the same run."""


class Failed(Exception):
    """The run was refused, or is over and has not done what it should."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Start the run, or find it, and answer how it ended. Raises NotOver, Failed."""
    ends = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
    run = _start(_key(event))
    if event.get("wait") is False:
        return {"executionId": run}
    while True:
        found = _call("GET", f"/executions/{run}")
        status = found["status"]
        told = {"executionId": run, "runNumber": found.get("runNumber"), "status": status}
        if status == "COMPLETED":
            return told
        if status in OVER:
            raise Failed(f"{json.dumps(told)}: {found.get('errorMessage') or 'see the page of the run'}")
        if time.monotonic() + POLL_SECONDS > ends:
            raise NotOver(json.dumps(told))
        time.sleep(POLL_SECONDS)


def _key(event: Any) -> str:
    """What is the same in every call for one run, and in no other. Raises Failed."""
    given = event if isinstance(event, dict) else {}
    if caller := given.get("executionId"):
        return f"start-plan-{caller}"
    if not given.get("ExecutionId"):
        raise Failed(NAMELESS)
    named = [given.get(each) for each in ("PlanArn", "ExecutionId", "StepName")]
    step = json.dumps([*named, os.environ["PLAN_ID"]])  # steps that run at once may start different plans
    return f"start-plan-{hashlib.sha256(step.encode()).hexdigest()}"


def _start(key: str) -> str:
    """The id of the run that the key has started, now or earlier."""
    plan, kind = os.environ["PLAN_ID"], os.environ.get("EXECUTION_TYPE", "DRILL")
    body = {"planId": plan, "executionType": kind, "initiatedBy": "Lambda start_plan"}
    started: str = _call("POST", "/executions", body, key=key)["executionId"]
    return started


def _call(method: str, path: str, body: dict[str, Any] | None = None, *, key: str = "") -> dict[str, Any]:
    """An answer of the API. Raises Failed with its words for a refusal, NotOver where there is no clear answer."""
    headers = {"Authorization": f"Bearer {os.environ['DRSORCH_TOKEN']}", "Content-Type": "application/json"}
    headers |= {"Idempotency-Key": key} if key else {}
    address = f"{os.environ['DRSORCH_URL'].rstrip('/')}/api/v1{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers, method=method)  # noqa: S310  (the address is ours)
    try:
        with _opener.open(request, timeout=60) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")[:1000]
        if error.code >= 500 or error.code == 429:
            raise NotOver(f"{method} {path}: {error.code} {text}") from error
        raise Failed(f"{method} {path}: {error.code} {text}") from error
    except (OSError, HTTPException, ValueError) as error:  # the last of what is no JSON
        raise NotOver(f"{method} {path}: {error}") from error
