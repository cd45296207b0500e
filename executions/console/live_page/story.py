"""What happened in a run: its timeline and its events, sent to a page again when there is something new in them."""

from hashlib import blake2b
from typing import Any

from django.db.models import Count, Max
from django.utils import timezone

from executions.console.live_page.event_feed import entries, feed
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import JobEvent


def story(live: Live) -> dict[str, Any]:
    """What the templates of both are made of."""
    return {"feed": feed(live.execution), "timeline": Timeline(live, timezone.now())}


def story_key(live: Live) -> str:
    """What tells whether anything in them is new: counted and newest, as a lower number may be written later. Read it
    before them: what they say may be newer, never older."""
    events = JobEvent.objects.filter(job__wave__execution=live.execution)
    written = [found.order_by().aggregate(Count("pk"), Max("pk")) for found in (events, entries(live.execution))]
    waves = [
        (run.status, run.started_at, run.ended_at, run.paused_at, run.resumed_at, run.resumed_by)
        for run in (wave.run for wave in live.waves)
    ]
    return blake2b(repr((written, live.execution.ended_at, waves)).encode(), digest_size=8).hexdigest()
