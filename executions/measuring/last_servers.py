"""The server of each wave that came up last, with what tells its way: of many servers only that one is read."""

from collections import defaultdict
from collections.abc import Collection

from django.db.models import F, Window
from django.db.models.functions import RowNumber, TruncSecond

from executions.measuring.rta_rpa import WaveRows
from executions.models import JobEvent, LaunchJob, ServerRun, WaveRun


def last_servers(waves: Collection[WaveRun]) -> dict[int, WaveRows]:
    """By the key of the wave its rows, as far as its time is concerned; none of a wave in which none came up. Of
    several in the same second the one that stands last. Two queries."""
    up = ServerRun.objects.filter(wave__in=[each.pk for each in waves], launched_at__isnull=False)
    latest_first = [TruncSecond("launched_at").desc(), F("position").desc()]
    ranked = up.order_by().annotate(rank=Window(RowNumber(), partition_by=F("wave_id"), order_by=latest_first))
    columns = ("wave_id", "source_server_id", "launched_at", *(f"job__{each}" for each in LaunchJob.DATED_BY))
    shown = ranked.select_related("job").only(*columns)
    last = {each.wave_id: each for each in shown.filter(rank=1)}
    events: dict[tuple[object, str], list[JobEvent]] = defaultdict(list)
    ids = {each.source_server_id for each in last.values()}
    of_them = JobEvent.objects.filter(job__in=[each.job_id for each in last.values()], source_server_id__in=ids)
    for event in of_them.order_by("at", "pk"):
        events[event.job_id, event.source_server_id].append(event)
    return {
        wave.pk: WaveRows(wave, [each], [each.job], {each.source_server_id: events[each.job_id, each.source_server_id]})
        for wave in waves
        if (each := last.get(wave.pk))
    }
