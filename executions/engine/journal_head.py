"""Where the journal ends, told once a day to the log and to whoever subscribed: a store that the database's owner
cannot write keeps it, and `manage.py audit_verify --head` holds it against the journal."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from audit import sealing
from contract.clock import unix, utc
from notify import outbox
from notify.outbox import Message
from notify.states import Event

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)


def tell(now: datetime) -> None:
    """Tell it if nobody has for a day, whichever engine comes first."""
    with transaction.atomic():
        head = sealing.claim_head(now, every=EVERY)
        if head is not None:
            outbox.publish(
                Event.JOURNAL, plan_id=None, plan_name="", execution_id=None, at=now, write=lambda: _message(head, now)
            )
    if head is not None:
        log.info("Journal head, once a day: %s", head, extra={"journal_head": head})


def _message(head: str, now: datetime) -> Message:
    text = (
        f"The journal of {settings.PUBLIC.origin} ends at\n\n{head}\n\nat {utc(now)}. Keep this message."
        f" At any later time this tells whether everything up to there is still in the journal:\n\n"
        f"python manage.py audit_verify --head {head}"
    )
    data = {"event": Event.JOURNAL.value, "at": unix(now), "head": head, "url": settings.PUBLIC.origin}
    return Message("DRS Orchestration: head of the journal", text, data)
