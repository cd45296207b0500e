"""Instances that no run launched, terminated by engines in the background.

Whoever asks writes a row for each, and is answered at once. An engine claims rows, asks DRS what it lists, commits the
intent, and sends. A request without an answer is looked up among DRS's jobs before anything is said of it, and for ten
minutes after; of what DRS has accepted the inventory tells when it is gone.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from audit.actor import ENGINE, Actor
from audit.journal import OK, record
from contract.clock import Clock
from contract.storage.prepared import Asked, Prepared
from drs.client import SERVERS_PER_JOB, Drs, SendWindow
from drs.errors import SUPERSEDED, DrsError, Trouble
from drs.shapes import TERMINATE, Job, RecoveryInstance
from executions import installation
from executions.codes.ours import Code
from executions.models import OutsideTermination
from executions.observing.job_questions import aws_ahead
from executions.runs.aws_calls import AwsCalls
from executions.states import JobStatus
from executions.terminating.follow_up import CLOCKS_DIFFER, LOOK_BACK
from executions.terminating.instances import GONE, UNCONFIRMED_AFTER, Place
from executions.terminating.successors import has_successor
from protection.models import RecoveryInstance as ListedInstance

VERB = "instance.terminate"
CLAIMED = timedelta(minutes=5)  # longer than a look and two hundred requests one by one take
AGAIN = timedelta(seconds=20)
PATIENCE = timedelta(minutes=10)  # so long DRS is asked again that does not answer, or has no room
ENDED_WITHIN = timedelta(minutes=30)
LANDS_WITHIN = timedelta(minutes=10)  # a lost request that is carried out at all has begun by then
LATE_LOOK = timedelta(seconds=60)
_ABOUT_ONE = (Trouble.CONFLICT, Trouble.INVALID, Trouble.NOT_FOUND)  # refusals that may lie in one of several
_LATER = (Trouble.THROTTLED, Trouble.QUOTA, Trouble.UNREACHABLE, Trouble.NOT_SENT)

_UNANSWERED = Q(status=JobStatus.REJECTED, error_code=Code.NOT_CONFIRMED, next_look_at__isnull=False)

Rows = list[OutsideTermination]


def note(
    actor: Actor, rows: Iterable[OutsideTermination], *, verb: str = VERB, outcome: str = OK, **detail: object
) -> None:
    """One entry about these instances."""
    record(
        actor,
        verb,
        subject_kind="recovery-instance",
        subject_id="launched outside",
        outcome=outcome,
        detail={"instances": [each.instance_id for each in rows], **detail},
    )


def request(actor: Actor, wanted: Collection[OutsideTermination], comment: str, now: datetime) -> None:
    """Write down what is to be terminated, but for what is being asked for already; the next look of an engine goes on
    with it. In one transaction with the journal's entry."""
    with transaction.atomic():
        asked_for = OutsideTermination.objects.filter(instance_id__in=[each.instance_id for each in wanted])
        asked_for.filter(_UNANSWERED).update(next_look_at=None, claim=None)  # asked for again: that one is followed
        mine = OutsideTermination.objects.filter(next_look_at__isnull=False)
        known = set(
            mine.filter(instance_id__in=[each.instance_id for each in wanted]).values_list("instance_id", flat=True)
        )
        new = [each for each in wanted if each.instance_id not in known]
        for each in new:
            each.requested_by, each.requested_at, each.next_look_at = actor.name, now, now
        OutsideTermination.objects.bulk_create(new, ignore_conflicts=True)  # of two requests at once one is enough
        if new:
            note(actor, new, **({"comment": comment} if comment else {}))


_DUE = Prepared(
    lambda: (
        OutsideTermination.objects.filter(next_look_at__lte=Asked(OutsideTermination, "next_look_at"))
        .order_by("next_look_at")
        .values_list("pk")[: 5 * SERVERS_PER_JOB]
    )
)


def start_due(now: datetime) -> Iterator[tuple[Place, Rows]]:
    """Claim what is due, by account and region; nobody else has it until the claim ends."""
    claim = uuid.uuid4()
    keys = [pk for (pk,) in _DUE.rows(next_look_at=now)]
    if not keys:
        return
    due = OutsideTermination.objects.filter(next_look_at__lte=now)
    due.filter(pk__in=keys).update(claim=claim, next_look_at=now + CLAIMED)
    places: dict[Place, Rows] = defaultdict(list)
    for each in OutsideTermination.objects.filter(claim=claim):
        places[each.account_id, each.region].append(each)
    yield from places.items()


def go_on(place: Place, rows: Rows, clock: Clock) -> AwsCalls[None]:
    """Bring claimed rows one step further, whatever each of them waits for."""
    _look_for_the_end([each for each in rows if each.job_id], clock())
    if unanswered := [each for each in rows if each.state is JobStatus.REJECTED]:
        yield from _find_late(place, unanswered, clock)
    if unclear := [each for each in rows if each.state is JobStatus.INITIATED]:
        yield from _find_unconfirmed(place, unclear, clock)
    waiting = [each for each in rows if each.state is JobStatus.QUEUED]
    for at in range(0, len(waiting), SERVERS_PER_JOB):
        yield from _ask(place, waiting[at : at + SERVERS_PER_JOB], clock)


def _ask(place: Place, rows: Rows, clock: Clock) -> AwsCalls[None]:
    account, region = place
    servers = [each.server_id for each in rows]
    try:
        if (yield from has_successor(account, region, servers, clock)):  # what this one knows of instances is old
            for each in rows:
                _end(each, clock(), SUPERSEDED, installation.STOPPED)
            return
        listed = yield partial(Drs(region, account).recovery_instances, servers)
    except DrsError as error:
        _postpone(rows, error, clock())
        return
    meant = list(_still_meant(rows, listed, clock()))
    if meant:
        yield from _send(place, meant, clock)


def _still_meant(rows: Rows, listed: Sequence[RecoveryInstance], now: datetime) -> Iterator[OutsideTermination]:
    """Those that DRS lists, and calls what whoever asked may terminate; the others are over."""
    by_id = {each.recovery_instance_id: each for each in listed}
    for each in rows:
        found = by_id.get(each.instance_id)
        if found is None:
            text = f"DRS does not list {each.instance_id} any more, and nothing tells that it ended: look in EC2."
            _end(each, now, Code.UNKNOWN_TO_DRS, text)
            _watch_again(each, now)
        elif found.ec2_state in GONE:
            _end(each, now)
        elif found.may_be_production and not each.may_be_production:
            what = "is replicated back, so it may run production" if found.is_protected else "is not a drill's"
            _end(each, now, "FORBIDDEN", f"DRS says that {each.instance_id} {what}.")
        else:
            yield each


def _send(place: Place, rows: Rows, clock: Clock) -> AwsCalls[None]:
    """One request; if DRS refuses it because of one of several, one for each."""
    account, region = place
    window, mine = SendWindow(settings.SEND_WINDOW_SECONDS), _intend(rows, clock())
    if not mine:
        return
    try:
        job = yield partial(Drs(region, account).terminate, [each.instance_id for each in mine], window=window)
    except DrsError as error:
        if error.trouble in _ABOUT_ONE and len(mine) > 1:
            _take_back(mine, clock())
            for each in mine:
                yield from _send(place, [each], clock)
        elif error.trouble in _LATER:
            _take_back(mine, clock())
            _postpone(mine, error, clock())
        elif error.trouble is not Trouble.UNCERTAIN:
            _refuse(mine, error, clock())
    else:
        _confirm(mine, job, clock())


def _intend(rows: Rows, now: datetime) -> Rows:
    """Commit that these are about to be asked for; those that are still this engine's."""
    mine = OutsideTermination.objects.filter(status=JobStatus.QUEUED, claim=rows[0].claim)
    mine.filter(pk__in=[each.pk for each in rows]).update(
        status=JobStatus.INITIATED, intent_at=now, next_look_at=now + UNCONFIRMED_AFTER
    )
    sent = OutsideTermination.objects.filter(pk__in=[each.pk for each in rows], claim=rows[0].claim, intent_at=now)
    return list(sent.filter(status=JobStatus.INITIATED))


def _take_back(rows: Rows, now: datetime) -> None:
    """Certainly nothing was terminated by the request."""
    mine = OutsideTermination.objects.filter(pk__in=[each.pk for each in rows], status=JobStatus.INITIATED)
    mine.update(status=JobStatus.QUEUED, next_look_at=now + CLAIMED)


def _postpone(rows: Rows, error: DrsError, now: datetime) -> None:
    """Ask again soon, unless that would not help, or has been tried for long enough."""
    for each in rows:
        if error.effect.is_final or now > each.requested_at + PATIENCE:
            _refuse([each], error, now)
        else:
            text = f"DRS was asked and did not take it, it is asked again: {error.code}: {error.message}"
            _of(each).update(next_look_at=now + AGAIN, error_code=error.code, error_message=text)


def _refuse(rows: Rows, error: DrsError, now: datetime) -> None:
    for each in rows:
        _end(each, now, error.code, error.with_code())


def _confirm(rows: Rows, job: Job, now: datetime) -> None:
    with transaction.atomic():
        mine = OutsideTermination.objects.filter(
            pk__in=[each.pk for each in rows], job_id="", next_look_at__isnull=False
        )
        columns = {"error_code": "", "error_message": "", "next_look_at": now + AGAIN}
        if mine.update(status=JobStatus.PENDING, job_id=job.job_id, **columns):
            note(ENGINE, rows, verb=f"{VERB}.sent", region=rows[0].region, jobId=job.job_id)


def _end(row: OutsideTermination, now: datetime, code: str = "", text: str = "") -> None:
    """It is over: gone, or why not."""
    status = JobStatus.COMPLETED if row.job_id else JobStatus.REJECTED if code else JobStatus.WITHDRAWN
    with transaction.atomic():
        if _of(row).update(status=status, error_code=code, error_message=text, next_look_at=None, claim=None):
            _note_end(row, code, text)


def _note_end(row: OutsideTermination, code: str, text: str) -> None:
    about = {"region": row.region, "requestedBy": row.requested_by, **({"text": text} if text else {})}
    note(ENGINE, [row], verb=f"{VERB}.ended", outcome=code or OK, **about)


def _of(row: OutsideTermination) -> QuerySet[OutsideTermination]:
    return OutsideTermination.objects.filter(pk=row.pk, next_look_at__isnull=False)


def _tell_unanswered(row: OutsideTermination, now: datetime) -> None:
    """People may ask again. It is looked for on, as long as it may have been carried out."""
    text = str(Code.NOT_CONFIRMED.explanation)
    later = {"next_look_at": now + LATE_LOOK, "claim": None}
    with transaction.atomic():
        if _of(row).update(status=JobStatus.REJECTED, error_code=Code.NOT_CONFIRMED, error_message=text, **later):
            _note_end(row, Code.NOT_CONFIRMED, text)


def _watch_again(row: OutsideTermination, now: datetime) -> None:
    """What was asked for again is gone: an earlier request, which AWS never answered, may be why."""
    earlier = OutsideTermination.objects.filter(instance_id=row.instance_id, error_code=Code.NOT_CONFIRMED, job_id="")
    last = earlier.filter(intent_at__gt=now - LANDS_WITHIN).order_by("pk").last()
    if last is not None:
        OutsideTermination.objects.filter(pk=last.pk).update(next_look_at=now)


def _find_late(place: Place, rows: Rows, clock: Clock) -> AwsCalls[None]:
    """Of requests that AWS never answered: DRS's job that shows up later, or, when none may come any more, whether
    the instance stands."""
    account, region = place
    asked_at = clock()
    earliest = min(each.intent_at or each.requested_at for each in rows) - LOOK_BACK
    try:
        jobs = yield partial(Drs(region, account, reading="poller").jobs_since, earliest)
    except DrsError:
        OutsideTermination.objects.filter(pk__in=[each.pk for each in rows]).update(next_look_at=clock() + LATE_LOOK)
        return
    up = set(
        ListedInstance.objects.up().filter(pk__in=[each.instance_id for each in rows]).values_list("pk", flat=True)
    )
    for each in rows:
        until = (each.intent_at or each.requested_at) + LANDS_WITHIN
        if job := _job_of(each, [job for job in jobs if job.dated], clock(), LANDS_WITHIN):
            _confirm([each], job, clock())
        elif asked_at <= until:
            _of(each).update(next_look_at=clock() + LATE_LOOK)
        else:
            _end_unanswered(each, stands=each.instance_id in up)


def _end_unanswered(row: OutsideTermination, *, stands: bool) -> None:
    """No job of DRS tells of it. That the instance is gone all the same is told, and that nobody knows by whom."""
    text = f"{row.instance_id} is not listed any more: by this request, which AWS never answered, or somebody else."
    with transaction.atomic():
        told = {} if stands else {"error_message": text}
        if _of(row).update(next_look_at=None, claim=None, **told) and not stands:
            _note_end(row, Code.NOT_CONFIRMED, text)


def _find_unconfirmed(place: Place, rows: Rows, clock: Clock) -> AwsCalls[None]:
    """Requests that were lost or killed: DRS's job for them, or a person may ask again."""
    account, region = place
    since = min(each.intent_at or clock() for each in rows) - LOOK_BACK
    try:
        jobs = yield partial(Drs(region, account, reading="poller").jobs_since, since)
    except DrsError:
        OutsideTermination.objects.filter(pk__in=[each.pk for each in rows]).update(next_look_at=clock() + AGAIN)
        return
    for each in rows:
        if job := _job_of(each, jobs, clock()):
            _confirm([each], job, clock())
        else:
            _tell_unanswered(each, clock())


def _job_of(row: OutsideTermination, jobs: Sequence[Job], now: datetime, within: timedelta = LOOK_BACK) -> Job | None:
    """The TERMINATE job of this instance, of the time of the request."""
    sent = (row.intent_at or row.requested_at) + aws_ahead(jobs, row.account_id, row.region, now)
    mine = (
        job
        for job in jobs
        if job.type == TERMINATE
        and sent - CLOCKS_DIFFER <= job.created_at <= sent + within
        and any(
            each.source_server_id == row.server_id and each.recovery_instance_id in ("", row.instance_id)
            for each in job.participants
        )
    )
    return min(mine, key=lambda each: each.created_at, default=None)


def _look_for_the_end(rows: Rows, now: datetime) -> None:
    """The inventory lists it no more, or has done so for too long."""
    keys = [each.instance_id for each in rows]
    seen = dict(ListedInstance.objects.up().filter(pk__in=keys).values_list("pk", "seen_at"))
    for each in rows:
        if each.instance_id not in seen:
            _end(each, now)
        elif seen[each.instance_id] > (each.intent_at or each.requested_at) + ENDED_WITHIN:
            text = f"DRS accepted the termination of {each.instance_id} as {each.job_id}, and still lists it."
            _end(each, now, Code.TERMINATION_FAILED, text)
        else:
            _of(each).update(next_look_at=now + AGAIN)
