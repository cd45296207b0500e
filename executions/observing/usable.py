"""Whether a launched server is up: EC2's status checks passed, and the post-launch actions that must succeed have.

Neither EC2 nor DRS tells since when. A server is called usable from the moment at which that was first seen, and
`usable_late` says by how many seconds at most that is too late.
"""

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

from drs.status_checks import StatusChecks
from plans.models import SuccessMeans

if TYPE_CHECKING:
    from executions.models import ServerRun

DONE, FAILED = "SUCCEEDED", "FAILED"  # DRS's words for an action


def take_checks(
    server: "ServerRun", checks: StatusChecks | None, asked_at: datetime, seen_before: datetime | None, *, again: bool
) -> None:
    """What EC2 said; nothing changes where it was not asked, nor once both have passed: unless `again`, while its wave
    goes on, one fails."""
    if checks is None:
        return
    if server.checks_passed_at is not None:
        if not again or not checks.failed:
            return
        server.checks_passed_at = server.usable_at = server.usable_late = None
    had_word = bool(server.system_check and server.instance_check)
    server.system_check, server.instance_check = checks.system, checks.instance
    if not checks.passed:
        return
    since = seen_before if had_word and seen_before is not None else server.launched_at
    server.checks_passed_at = asked_at
    server.usable_late = max(0, ceil((asked_at - since).total_seconds())) if since else None


def take_usable(server: "ServerRun", asked_at: datetime, *, ended: bool) -> None:
    """Actions are told while the job runs (likely): that there are none is known at its end."""
    if server.usable_at is not None or server.checks_passed_at is None:
        return
    required = server.required_actions
    if not required and ended:
        server.usable_at = server.checks_passed_at
    elif required and all(each["status"] == DONE for each in required):
        server.usable_at = asked_at
        since = server.launched_at
        server.usable_late = max(0, ceil((asked_at - since).total_seconds())) if since else None


def why_not_up(server: "ServerRun", means: SuccessMeans) -> str:
    """What has ended so that it will not be up any more; empty where it still may."""
    if means is not SuccessMeans.LAUNCH_ACTIONS:
        return ""
    bad = [each for each in server.required_actions if each["status"] == FAILED]
    if not bad:
        return ""
    return f"Its post-launch action “{bad[0]['name']}” failed: {bad[0]['failureReason'] or 'AWS gave no reason.'}"


def not_up_in_time(server: "ServerRun", means: SuccessMeans, minutes: int) -> str:
    """What is said of one that is given up."""
    if server.checks_passed_at is None:
        told = f"within {minutes} min of the launch ({server.told_checks})"
        return f"EC2’s status checks have not passed for good {told}."
    if means is SuccessMeans.LAUNCH_ACTIONS:
        open_ = [str(each["name"]) for each in server.required_actions if each["status"] != DONE]
        names = ", ".join(open_) or "none has been told"
        return f"Its post-launch actions have not succeeded within {minutes} min of the launch ({names})."
    return f"It was not up within {minutes} min of the launch."
