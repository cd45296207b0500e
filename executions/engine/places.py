"""The rows of places: which are to be asked, which do not answer, and which runs have something there."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from audit.safe_text import storable
from contract.storage.prepared import Asked, Prepared
from drs import roles
from drs.errors import SWITCHED_OFF, DrsError, Trouble
from executions.models import Execution, LaunchJob, Place, TerminationJob
from executions.runs import decide as d
from executions.runs.account_check import BEFORE_A_LAUNCH, MAX_DOUBLINGS
from executions.runs.claim import LEASE
from executions.states import JobStatus

# What runs say whose launches wait until an account can be entered.
_NOT_ENTERED = Q(aws_error__contains=f"{roles.OPERATION} in ") | Q(aws_error__contains=SWITCHED_OFF)


# What runs say whose launches wait for an answer that no poll asks for.
_BEFORE_A_LAUNCH = reduce(or_, (Q(aws_error__contains=f"{each} in ") for each in BEFORE_A_LAUNCH))


_PLACE = ("account_id", "region")
_WANTED: Sequence[Prepared[Any]] = (
    Prepared(lambda: LaunchJob.objects.filter(watched=True).order_by().values_list(*_PLACE).distinct()),
    Prepared(lambda: TerminationJob.objects.filter(watched=True).order_by().values_list(*_PLACE).distinct()),
    Prepared(
        lambda: (
            LaunchJob.objects.filter(status=JobStatus.QUEUED, refused_as=Trouble.QUOTA.name)
            .order_by()
            .values_list(*_PLACE)
            .distinct()
        )
    ),
)


def arm(now: datetime) -> None:
    """Have every place asked of whose jobs DRS may have news, or where launches wait for others' jobs to end. It is
    asked at once, unless it rests."""
    wanted = {place for each in _WANTED for place in each.rows()}
    if not wanted:
        return
    rows = {(row.account_id, row.region): row for row in _ALL.objects()}
    new = [Place(account_id=account, region=region) for account, region in wanted - rows.keys()]
    Place.objects.bulk_create(new, ignore_conflicts=True)
    idle = [place for place in wanted if place not in rows or rows[place].next_poll_at is None]
    if idle:
        one = Q(account_id="", region="")
        for account, region in idle:
            one |= Q(account_id=account, region=region)
        Place.objects.filter(one, next_poll_at=None).update(next_poll_at=now)


_ALL = Prepared(Place.objects.all)
_DUE = Prepared(lambda: Place.objects.filter(next_poll_at__lte=Asked(Place, "next_poll_at")))


def take_due(now: datetime) -> list[Place]:
    """The places that are to be asked now; of two engines, one has each."""
    due = _DUE.objects(next_poll_at=now)
    taken = Place.objects.filter(next_poll_at__lte=now)
    return [each for each in due if taken.filter(pk=each.pk).update(next_poll_at=now + LEASE)]


def leave(place: Place) -> None:
    """Nothing is to be asked there any more."""
    Place.objects.filter(pk=place.pk).update(next_poll_at=None)


def runs_at(place: Place) -> QuerySet[Execution]:
    """Runs of whose jobs there DRS may have news."""
    here = {"account_id": place.account_id, "region": place.region, "watched": True}
    launching = LaunchJob.objects.filter(**here).order_by().values("wave__execution")
    ending = TerminationJob.objects.filter(**here).order_by().values("execution")
    return Execution.objects.filter(Q(pk__in=launching) | Q(pk__in=ending))


def note_answer(place: Place, asked_at: datetime, unsaved: Collection[uuid.UUID]) -> None:
    """DRS answers there. Runs go on being in trouble for another place's sake, for their own, or, where a launch is in
    doubt, as long as whoever looks for it says so."""
    columns = {"next_poll_at": None, "failures": 0, "failing_since": None, "error": "", "answered_at": asked_at}
    Place.objects.filter(pk=place.pk).update(**columns)
    troubled = runs_at(place).filter(failing_since__isnull=False).exclude(pk__in=unsaved)
    if not troubled.exists():
        return
    for other in Place.objects.filter(failing_since__isnull=False).exclude(pk=place.pk):
        troubled = troubled.exclude(pk__in=runs_at(other).values("pk"))
    troubled = troubled.exclude(_NOT_ENTERED, pk__in=_waiting_elsewhere(place).values("wave__execution"))
    troubled = troubled.exclude(_BEFORE_A_LAUNCH, pk__in=_waiting().values("wave__execution"))
    in_doubt = LaunchJob.objects.filter(status=JobStatus.INITIATED, job_id="").values("wave__execution")
    runs = list(troubled.exclude(pk__in=in_doubt).values_list("pk", flat=True))
    Execution.objects.filter(pk__in=runs).update(
        failures=0, failing_since=None, aws_error="", revision=F("revision") + 1
    )


def _waiting() -> QuerySet[LaunchJob]:
    """Launches that are looked at again later."""
    return LaunchJob.objects.filter(status=JobStatus.QUEUED, not_before__isnull=False)


def _waiting_elsewhere(place: Place) -> QuerySet[LaunchJob]:
    """Launches that wait in other accounts or regions."""
    return _waiting().exclude(account_id=place.account_id, region=place.region)


def note_failure(place: Place, error: DrsError, now: datetime) -> None:
    """DRS did not answer, or what answered is another account: the place rests for a while, and every run that has
    something there says so. Nothing is concluded from it."""
    failures = min(place.failures, MAX_DOUBLINGS) if error.trouble is Trouble.OTHER_ACCOUNT else place.failures
    rest = max(d.backoff(failures, settings.POLL_SECONDS), timedelta(seconds=error.rest))
    since = place.failing_since or now
    text = storable(str(error))
    columns = {"next_poll_at": now + rest, "failures": F("failures") + 1, "failing_since": since, "error": text}
    Place.objects.filter(pk=place.pk).update(**columns)
    show_trouble(list(runs_at(place).values_list("pk", flat=True)), text, since, now)


def show_trouble(runs: Collection[uuid.UUID], text: str, since: datetime, now: datetime) -> None:
    """What keeps DRS's news from these runs, on the runs, where people see it."""
    Execution.objects.filter(pk__in=runs).update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", since),
        aws_error=storable(text),
        revision=F("revision") + 1,
        updated_at=now,
    )
