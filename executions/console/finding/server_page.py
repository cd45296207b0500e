"""One source server: how it replicates, how it would be launched, what runs of it now, and every launch that was."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit.request_actor import actor_for
from console.pages import page_of
from executions.commands.production import ended_since
from executions.measuring.rta_rpa import WaveRows, server_path
from executions.models import Execution, JobEvent, ServerRun
from executions.models.not_launched import why_not_launched
from plans.models import RecoveryPlan, WaveServer
from protection.inventory import aws_links
from protection.inventory.launch_settings import lines
from protection.models import LaunchSettings, RecoveryInstance, ServerAssignment, SourceServer
from protection.scopes.same_machines import twins_of
from protection.views import region_ages

LAUNCHES = 20  # on a page: the log of each launch's job is looked through for its phases


@dataclass(frozen=True)
class Launch:
    """A launch of the server, with what its time went on in words and seconds."""

    row: ServerRun
    phases: Sequence[tuple[str, int]]
    in_ec2: str
    not_launched: str


@require_safe
def server_detail(request: HttpRequest, server_id: str) -> HttpResponse:
    """The page of a server. One that DRS lists no more keeps its page."""
    sees = actor_for(request).sees
    server = get_object_or_404(SourceServer.objects.seen_by(sees, with_free=False), pk=server_id)
    runs, plans = Execution.objects.seen_by(sees), RecoveryPlan.objects.seen_by(sees)
    assigned = ServerAssignment.objects.filter(source_server_id=server_id).select_related("group").first()
    waves = (
        WaveServer.objects.filter(assignment=assigned, wave__plan__in=plans) if assigned else WaveServer.objects.none()
    )
    settings = LaunchSettings.objects.filter(pk=server.launch_digest).first()
    launched = ServerRun.launches.filter(
        source_server_id=server_id, excluded__isnull=True, wave__execution__dry_run=False
    )
    launched = launched if sees.everywhere else launched.filter(wave__execution__in=runs)
    page = page_of(launched.select_related("wave__execution", "job").order_by("-pk"), request, LAUNCHES)
    listed = list(RecoveryInstance.objects.up().filter(source_server_id=server_id))
    ended = ended_since(listed)
    running = [each for each in listed if each.pk not in ended]
    context = {
        "server": server,
        "twins": twins_of([server], actor_for(request)).get(server_id, ()),
        "group": assigned.group if assigned else None,
        "waves": waves.select_related("wave__plan").order_by("wave__plan__name_key"),
        "settings": list(lines(settings.settings)) if settings else [],
        "instances": [(each, aws_links.instance(each.region, each.pk)) for each in running],
        "page": page,
        "launches": _launches(list(page)),
        "in_drs": aws_links.source_server(server.region, server_id),
        "regions": region_ages(server.region, server.account_id),
    }
    return render(request, "protection/server_detail.html", context)


def _launches(rows: Sequence[ServerRun]) -> list[Launch]:
    """One query for the logs of all of them."""
    ids = {each.source_server_id for each in rows}
    events: dict[object, list[JobEvent]] = defaultdict(list)
    told = JobEvent.objects.filter(job__in=[each.job_id for each in rows], source_server_id__in=ids)
    for event in told.order_by("at", "pk"):
        events[event.job_id].append(event)
    return [_launch(each, events[each.job_id]) for each in rows]


def _launch(row: ServerRun, events: list[JobEvent]) -> Launch:
    wave = WaveRows(row.wave, [row], [row.job], {row.source_server_id: events})
    seconds: dict[str, int] = defaultdict(int)
    for part, since, until in server_path(row, wave, row.job):
        seconds[part.words] += int(until.timestamp()) - int(since.timestamp())
    why = "" if row.state.is_settled else why_not_launched(row.wave.execution, row.wave, row.job)
    in_ec2 = aws_links.instance(row.job.region, row.recovery_instance_id) if row.recovery_instance_id else ""
    return Launch(row, [(words, took) for words, took in seconds.items() if took], in_ec2, why)
