"""Whoever was told that a drill comes is told when it does not, once, by whatever it is called off."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import unix
from notify.models import Notice
from notify.states import Event
from plans import services as plan_services
from schedules import services
from schedules.models import Occurrence, Schedule
from schedules.services import Wanted
from tests.audit import event_schema
from tests.console import world
from tests.schedules.test_due import Engine
from tests.support.api_client import Api

pytestmark = [pytest.mark.both, pytest.mark.django_db]

SUNDAY = datetime(2026, 3, 15, 1, 30, tzinfo=UTC)
WEEKLY = Wanted("FREQ=WEEKLY;BYDAY=SU", date(2026, 1, 1), time(2, 30), "Europe/Berlin")
MIDMONTH = [{"from": "2026-03-15", "to": "2026-03-16"}]
Change = Callable[[Schedule], object]


def changed(**to: object) -> Change:
    wanted = Wanted(**{**vars(WEEKLY), **to})
    return lambda row: services.update(
        actor=SYSTEM, schedule_id=row.pk, wanted=wanted, clock=lambda: SUNDAY - timedelta(hours=3)
    )


def deleted(row: Schedule) -> object:
    return services.delete(actor=SYSTEM, schedule_id=row.pk)


def plan_deleted(row: Schedule) -> object:
    return plan_services.delete_plan(actor=SYSTEM, plan_id=row.plan_id)


def announced(ahead: timedelta = timedelta(hours=20)) -> tuple[Schedule, Engine]:
    """A schedule that an engine looked at so long before its drill."""
    world.subscription(events=[Event.SCHEDULE])
    row = services.create(actor=SYSTEM, plan_id=world.plan("Payments").pk, wanted=WEEKLY, clock=lambda: SUNDAY - ahead)
    engine = Engine(SUNDAY - ahead)
    engine.look()
    return row, engine


def told() -> list[tuple[str, datetime]]:
    rows = Notice.objects.filter(event=Event.SCHEDULE).order_by("happened_at", "pk")
    return sorted((each.data["what"], datetime.fromtimestamp(each.data["time"], UTC)) for each in rows)


@pytest.mark.parametrize(
    ("change", "why", "then"),
    [
        (changed(time=time(4, 30)), "changed by system", SUNDAY + timedelta(hours=2)),
        (changed(blackouts=MIDMONTH), "changed by system", SUNDAY + timedelta(days=7)),
        (changed(enabled=False), "switched off by system", None),
        (deleted, "deleted by system", None),
        (plan_deleted, "the plan was deleted", None),
    ],
    ids=["moved", "blacked out", "switched off", "deleted", "its plan deleted"],
)  # fmt: skip
def test_what_was_announced_and_does_not_come_is_told_once(change: Change, why: str, then: datetime | None) -> None:
    row, engine = announced()
    assert told() == [("SCHEDULED", SUNDAY)]
    change(row)
    assert told() == [("CANCELLED", SUNDAY), ("SCHEDULED", SUNDAY)]
    notice = Notice.objects.get(data__what="CANCELLED")
    assert why in notice.text
    assert "2026-03-15 01:30" in notice.text
    assert notice.data["next"] == (unix(then) if then else None)
    assert "does not start as announced" in notice.subject
    entry = AuditEntry.objects.get(verb="schedule.cancelled")
    assert (entry.detail["time"], entry.detail["next"]) == (unix(SUNDAY), notice.data["next"])
    assert entry.subject_name == "Payments"
    event = {
        "number": 1, "type": entry.verb, "version": 1, "time": 1, "actor": entry.actor, "actorKind": entry.actor_kind,
        "subject": {"kind": "plan", "id": entry.subject_id, "name": "Payments"}, "outcome": "ok", "data": entry.detail,
    }  # fmt: skip
    assert event_schema.faults([event]) == []
    engine.look()
    soon = then is not None and then - SUNDAY < timedelta(hours=4)
    assert told()[1:] == [("SCHEDULED", SUNDAY)] + ([("SCHEDULED", then)] if soon and then else [])
    if Schedule.objects.exists():
        changed(enabled=False)(row)
        assert Notice.objects.filter(data__what="CANCELLED", data__time=unix(SUNDAY)).count() == 1


@pytest.mark.parametrize(
    "change",
    [changed(time=time(4, 30)), changed(enabled=False), deleted, plan_deleted],
    ids=["moved", "switched off", "deleted", "its plan deleted"],
)
def test_of_one_that_was_not_announced_nothing_is_told(change: Change) -> None:
    row, _ = announced(timedelta(days=3))
    change(row)
    assert told() == []
    assert not AuditEntry.objects.filter(verb="schedule.cancelled").exists()


def test_what_leaves_the_announced_drill_where_it_is_tells_nobody() -> None:
    row, _ = announced()
    changed(blackouts=[{"from": "2026-03-22", "to": "2026-03-22"}])(row)
    assert told() == [("SCHEDULED", SUNDAY)]


def test_one_that_comes_back_is_announced_again() -> None:
    row, engine = announced()
    changed(enabled=False)(row)
    changed()(row)
    engine.look()
    assert told() == [("CANCELLED", SUNDAY), ("SCHEDULED", SUNDAY), ("SCHEDULED", SUNDAY)]


def test_one_that_has_started_or_was_missed_is_not_called_off_afterwards() -> None:
    row, engine = announced()
    engine.now = SUNDAY + timedelta(hours=1)
    engine.look()
    assert [each.outcome for each in Occurrence.objects.all()] == ["MISSED"]
    deleted(row)
    assert told() == [("MISSED", SUNDAY), ("SCHEDULED", SUNDAY)]


def test_pages_say_beforehand_who_will_be_told(admin: Api) -> None:
    row, _ = announced()
    admin.client.force_login(admin.user)
    listed, edited, asked, plan = (
        admin.client.get(each).content.decode()
        for each in (
            "/schedules", f"/schedules/{row.pk}", f"/schedules/{row.pk}/delete",
            f"/recovery-plans/{row.plan_id}/delete",
        )
    )  # fmt: skip
    assert ">announced<" in listed
    assert "whoever was told is told so" in edited
    assert "whoever was told is told that it does not start" in asked
    assert "No more drills of it start by schedule" in plan
