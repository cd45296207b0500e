"""The figures as CloudWatch's embedded metrics: one JSON line in the log a minute, written by one engine of all.

CloudWatch makes metrics of such lines by itself; no call to AWS and no permission is needed. An engine that is silent
writes none: whoever watches must take missing figures for bad ones, as deploy/cloudformation/alarms.yaml does.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from contract.clock import Clock, db_clock
from executions.metrics import failed_aws_calls, figures
from executions.models import Pacemaker

log = logging.getLogger(__name__)

NAMESPACE = "DRSOrchestration"
EVERY = timedelta(seconds=60)
SECONDS, COUNT = "Seconds", "Count"


def report_if_due(clock: Clock = db_clock) -> bool:
    """Write the lines if nobody did for a minute. True if this process did."""
    now = clock()
    known = Pacemaker.objects.filter(pk=1).values_list("figures_at", flat=True).first()
    if known is not None and now - known < EVERY:
        return False
    if not Pacemaker.objects.filter(pk=1, figures_at=known).update(figures_at=now):
        return False  # another engine was faster, or none has ever beaten
    for line in lines(now, known or now - EVERY):
        log.info("figures", extra={"figures": line})  # the formatter of JSON lines puts them at the top
    return True


def lines(now: datetime, since: datetime) -> list[dict[str, Any]]:
    """The lines for the time since then: one without dimensions, one for each status, one for each error code."""
    found = figures.read(now, since)
    errors = failed_aws_calls.unreported()
    values: dict[str, tuple[str, float | Sequence[float]]] = {
        "ExecutionsActive": (COUNT, sum(n for status, n in found.by_status.items() if not status.is_final)),
        "ExecutionsFailed": (COUNT, found.failed),
        "PauseWaiting": (SECONDS, found.pause_waiting),
        "ExecutionsStalled": (COUNT, found.stalled),
        "PollLag": (SECONDS, found.poll_lag),
        "QueueDepth": (COUNT, found.due),
        "NotificationsPending": (COUNT, found.notifications),
        "NotificationAge": (SECONDS, found.notification_age),
        "AwsErrors": (COUNT, sum(errors.values())),
        "InventoryAge": (SECONDS, max(found.inventory_ages.values(), default=0.0)),
    }
    values["Superseded"] = (COUNT, int(found.superseded))
    if found.bundle_age is not None:
        values["BundleAge"] = (SECONDS, found.bundle_age)
    if found.heartbeat_age is not None:
        values["EngineHeartbeatAge"] = (SECONDS, found.heartbeat_age)
    if found.wave_durations:
        values["WaveDuration"] = (SECONDS, found.wave_durations)
    if found.launch_latencies:
        values["LaunchLatency"] = (SECONDS, found.launch_latencies)
    return [
        _line(now, values, {}),
        *(_line(now, {"Executions": (COUNT, n)}, {"Status": each.value}) for each, n in found.by_status.items()),
        *(_line(now, {"AwsErrors": (COUNT, n)}, {"Code": code}) for code, n in sorted(errors.items())),
    ]


def _line(
    now: datetime, values: Mapping[str, tuple[str, float | Sequence[float]]], dimensions: Mapping[str, str]
) -> dict[str, Any]:
    """CloudWatch's embedded metric format: what `_aws` describes stands beside it. With a name of its own an
    installation's figures do not mix with another's in the region."""
    dimensions = {**({"Installation": settings.INSTALLATION} if settings.INSTALLATION else {}), **dimensions}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in values.items()],
    }
    return {
        "_aws": {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]},
        **dimensions,
        **{name: value for name, (_, value) in values.items()},
    }
