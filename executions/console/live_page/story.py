"""What happened in a run: its timeline and its events, sent to a page again when there is something new in them."""

from hashlib import blake2b
from typing import Any

from django.db.models import Count, Max
from django.utils import timezone

from audit.models import AuditEntry
from contract.storage.prepared import Asked, Prepared
from executions.console.live_page.event_feed import entries_of, feed
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import Execution, JobEvent

_EVENTS = Prepared(
    lambda: (
        JobEvent.objects.filter(job__wave__execution=Asked(Execution, "id"))
        .order_by()
        .values("job__wave__execution")
        .annotate(count=Count("pk"), newest=Max("pk"))
        .values_list("count", "newest")
    )
)
_ENTRIES = Prepared(
    lambda: (
        entries_of(Asked(AuditEntry, "subject_id"))
        .order_by()
        .values("subject_id")
        .annotate(count=Count("pk"), newest=Max("pk"))
        .values_list("count", "newest")
    )
)


def story(live: Live) -> dict[str, Any]:
    """What the templates of both are made of."""
    return {"feed": feed(live.execution), "timeline": Timeline(live, timezone.now())}


def story_key(live: Live) -> str:
    """What tells whether anything in them is new: counted and newest, as a lower number may be written later. Read it
    before them: what they say may be newer, never older."""
    written = [_EVENTS.rows(id=live.execution.pk), _ENTRIES.rows(subject_id=str(live.execution.pk))]
    waves = [
        (run.status, run.started_at, run.ended_at, run.paused_at, run.resumed_at, run.resumed_by)
        for run in (wave.run for wave in live.waves)
    ]
    return blake2b(repr((written, live.execution.ended_at, waves)).encode(), digest_size=8).hexdigest()
