"""What people and programs are told of drills by schedule: that one comes, that it does not, that it could not."""

from datetime import datetime

from audit.actor import Actor
from audit.journal import record
from contract.clock import unix, utc
from notify import outbox
from notify.outbox import Message
from notify.states import Event
from schedules.models import Schedule

CANCELLED = "CANCELLED"
HEADS = {"SCHEDULED": "starts tomorrow or today", "MISSED": "was missed", CANCELLED: "does not start as announced"}


def call_off(actor: Actor, schedule: Schedule, why: str, now: datetime, then: datetime | None = None) -> None:
    """Tell those who were told of the drill that engines wait for that it does not start; `then` is the next one now.
    Nobody is told of one that was not announced. Call it with the row locked, while it has the old times."""
    at = schedule.announced_for
    if at is None or at == then:
        return
    after = f" The next one starts at {utc(then)}." if then else " No other one is to come by this schedule."
    text = f"The drill of “{schedule.plan.name}” that was announced for {utc(at)} does not start then: {why}.{after}"
    following = unix(then) if then else None
    journal(actor, schedule, CANCELLED, at, text, next=following)
    tell(schedule, CANCELLED, text, at, now, next=following)
    schedule.told_for = None  # who is told again of this very time, should it come back, has to be told anew


def journal(actor: Actor, schedule: Schedule, what: str, at: datetime, text: str, **facts: object) -> None:
    record(
        actor,
        f"schedule.{what.lower()}",
        subject_kind="plan",
        subject_id=schedule.plan_id,
        subject_name=schedule.plan.name,
        detail={"scheduleId": str(schedule.pk), "time": unix(at), "text": text, **facts},
    )


def tell(schedule: Schedule, what: str, text: str, at: datetime, now: datetime, **facts: object) -> None:
    plan = schedule.plan
    data = {
        "event": Event.SCHEDULE.value,
        "what": what,
        "scheduleId": str(schedule.pk),
        "planId": str(plan.pk),
        "planName": plan.name,
        "time": unix(at),
        **facts,
        "message": text,
        "at": unix(now),
    }
    head = HEADS.get(what, "was not started")
    outbox.publish(
        Event.SCHEDULE,
        plan_id=plan.pk,
        plan_name=plan.name,
        execution_id=None,
        at=now,
        write=lambda: Message(f"DRS Orchestration: a drill of {plan.name} {head}", text, data),
    )
