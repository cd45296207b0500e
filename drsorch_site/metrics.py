"""The figures for Prometheus. They come from the database: whichever process is asked, it says the same."""

import logging
from collections.abc import Callable, Iterator
from hmac import compare_digest

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from accounts.registry import names
from contract.clock import db_clock
from contract.database_errors import is_outage
from drsorch_site.admin_site import RIGHT
from executions.metrics import failed_aws_calls, figures
from executions.metrics.figures import Figures
from executions.models import AwsErrors
from protection.views import state_counts

log = logging.getLogger(__name__)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All figures as text, for whoever has DRSORCH_METRICS_TOKEN, and for administrators who are signed in."""
    if not _may_read(request):
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse("A Bearer token is needed.\n", status=401, headers=headers, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def has_token(request: HttpRequest) -> bool:
    """Whether the request carries DRSORCH_METRICS_TOKEN: a scraper or a monitor. None is good while none is set."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    known: str = settings.METRICS_TOKEN
    return bool(known) and scheme.lower() == "bearer" and compare_digest(token.strip().encode(), known.encode())


def _may_read(request: HttpRequest) -> bool:
    return has_token(request) or (request.user.is_authenticated and request.user.has_perm(RIGHT))


class _Collector(Collector):
    """Reads once a scrape."""

    def collect(self) -> Iterator[Metric]:
        now = db_clock()
        found = figures.read(now, now - figures.LAST_HOUR)
        yield from _of_runs(found)
        yield from _of_engine(found)
        yield from _of_aws(found)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"drsorch_{name}", text, value=value)


def _of_runs(found: Figures) -> Iterator[Metric]:
    runs = GaugeMetricFamily("drsorch_executions", "Runs in the history, by status.", labels=["status"])
    for status, count in found.by_status.items():
        runs.add_metric([status.value], count)
    yield runs
    yield _gauge("executions_failed_last_hour", "Runs that ended FAILED or PARTIAL in the last hour.", found.failed)
    yield _gauge(
        "pause_waiting_seconds", "How long the run that waits longest has waited for a person.", found.pause_waiting
    )
    yield _gauge("waves_last_hour", "Waves that ended in the last hour, at most 100.", len(found.wave_durations))
    for name, text, values in (
        ("wave_duration_seconds", "How long waves took that ended in the last hour.", found.wave_durations),
        (
            "launch_latency_seconds",
            "From when a wave could begin to its job at DRS, last hour.",
            found.launch_latencies,
        ),
    ):
        family = GaugeMetricFamily(f"drsorch_{name}", text, labels=["stat"])
        family.add_metric(["mean"], figures.mean(values))
        family.add_metric(["max"], max(values, default=0.0))
        yield family


def _of_engine(found: Figures) -> Iterator[Metric]:
    info = GaugeMetricFamily("drsorch_info", "The version that answers.", labels=["version"])
    info.add_metric([settings.VERSION], 1)
    yield info
    if found.heartbeat_age is not None:
        text = "How long ago an engine sent a heartbeat; missing while none has ever run."
        yield _gauge("engine_heartbeat_age_seconds", text, found.heartbeat_age)
    text = "1 when another installation has taken over, so that this one launches nothing."
    yield _gauge("superseded", text, int(found.superseded))
    if found.bundle_age is not None:
        yield _gauge("bundle_age_seconds", "Of when the bundle is that another installation needs.", found.bundle_age)
    yield _gauge("poll_lag_seconds", "How much later than it should DRS was heard of a job under way.", found.poll_lag)
    yield _gauge("executions_stalled", "Runs of which AWS has told nothing for three polls.", found.stalled)
    yield _gauge("due_executions", "Runs that are due and were not looked at yet.", found.due)
    if found.queued_tasks is not None:
        yield _gauge("queue_tasks", "Tasks that wait at the broker.", found.queued_tasks)
    yield _gauge("notifications_pending", "Notifications that were not delivered yet.", found.notifications)
    yield _gauge("notification_age_seconds", "Since when the oldest of them waits.", found.notification_age)


def _of_aws(found: Figures) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "drsorch_aws_errors", "Calls to AWS that failed.", labels=["code", "operation", "region"]
    )
    for row in AwsErrors.objects.all():
        errors.add_metric([row.code, row.operation, row.region], row.count)
    yield errors
    place = ["region", "account"] if names() else ["region"]
    ages = GaugeMetricFamily("drsorch_inventory_age_seconds", "When DRS was last read, by region.", labels=place)
    for (way, region), age in found.inventory_ages.items():
        ages.add_metric([region, way][: len(place)], age)
    yield ages
    labels = ["region", "state", *place[1:]]
    servers = GaugeMetricFamily("drsorch_source_servers", "Source servers by state.", labels=labels)
    for (way, region), states in state_counts().items():
        for state, count in states.items():
            servers.add_metric([region, state.value, way][: len(labels)], count)
    yield servers


class AwsErrorsMiddleware:
    """Keeps what this process counted of failed calls to AWS, at the end of the request that made them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        try:
            failed_aws_calls.keep()
        except DatabaseTrouble as error:  # they are kept with the next request's
            if not is_outage(error):
                log.exception("Failed AWS calls could not be counted")
        return response
