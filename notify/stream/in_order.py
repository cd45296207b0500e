"""The events of a run reach each subscriber in their order, whatever failed or died in between."""

from datetime import datetime

from django.db.models import F, Max

from notify.models import Delivery, Subscription
from notify.states import Event


def keep_order(subscription: Subscription, now: datetime) -> None:
    """What is tried again has its old place; what comes after an event of the same run that is tried again later waits
    for it, also what was written meanwhile. Nothing for who does not want the stream."""
    if Event.STREAM not in subscription.events:
        return
    told = Delivery.objects.filter(subscription=subscription, notice__event=Event.STREAM)
    due = told.filter(notice__execution_id__isnull=False, next_try_at__lte=now)
    due.filter(next_try_at__gt=F("created_at")).update(next_try_at=F("created_at"), claim=None)
    waits = told.filter(notice__execution_id__isnull=False, next_try_at__gt=now, claim=None).order_by()
    for run, until in waits.values_list("notice__execution_id").annotate(until=Max("next_try_at")):
        due.filter(notice__execution_id=run).update(next_try_at=until)
