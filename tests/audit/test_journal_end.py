"""A journal that was cut at its end is seen by itself: no head that somebody noted is needed."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from audit import append_only
from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry, AuditSeal, SealMark, UnsealedEntry
from audit.sealing import seal, verify
from executions.engine.sweep import Sweep
from notify.models import Delivery, Subscription
from notify.states import Channel, Event
from tests.support.threads import at_once

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def write(count: int) -> list[AuditEntry]:
    return [record(SYSTEM, "plan.create", subject_kind="plan", subject_id=n) for n in range(count)]


def told() -> str:
    with pytest.raises(CommandError) as refused:
        call_command("audit_verify")
    return str(refused.value)


@pytest.fixture
def sealed() -> Iterator[list[AuditEntry]]:
    entries = write(5)
    seal()
    yield entries
    append_only.guard(connection)


def cut(entries: list[AuditEntry]) -> None:
    """As somebody with the database's password does it: without the triggers, which are back afterwards."""
    ids = [each.pk for each in entries]
    append_only.unguard(connection)
    for rows in (AuditSeal.objects, UnsealedEntry.objects):
        rows.filter(entry__in=ids).delete()
    AuditEntry.objects.filter(pk__in=ids).delete()
    append_only.guard(connection)


def test_a_cut_end_is_seen_without_a_head(sealed: list[AuditEntry]) -> None:
    assert not verify().problem
    cut(sealed[3:])
    assert "its end was cut off: seals 4 to 5 are gone" in told()


def test_all_of_it_is_an_end_too(sealed: list[AuditEntry]) -> None:
    cut(sealed)
    assert "its end was cut off: seals 1 to 5 are gone" in told()


def test_it_is_still_seen_when_the_journal_has_grown_over_it(
    sealed: list[AuditEntry], caplog: pytest.LogCaptureFixture
) -> None:
    cut(sealed[3:])
    write(4)
    with caplog.at_level(logging.ERROR):
        assert seal() == 4
    assert "The journal was cut at its end: seals 4 to 5 are gone" in caplog.text
    assert "seal 4 is missing" in told()
    write(1)
    assert "seal 4 is missing" in told()


def test_what_was_cut_before_its_seal_is_seen_or_said_to_be_possible(sealed: list[AuditEntry]) -> None:
    """PostgreSQL cannot tell it from a transaction that was rolled back, SQLite can."""
    late = write(2)
    cut(late)
    gone = f"{late[0].pk} to {late[1].pk}"
    if connection.vendor == "sqlite":
        assert f"its end was cut off: entries {gone} are gone" in told()
    else:
        assert not verify().problem
        assert f"Ids {gone} were given out and are not in the journal." in verify().note


def test_a_transaction_that_is_rolled_back_is_no_loss(
    sealed: list[AuditEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    with transaction.atomic():
        write(3)
        transaction.set_rollback(True)
    call_command("audit_verify")
    printed = capsys.readouterr().out
    assert "The journal holds: 5 entries." in printed
    assert ("Transactions that were rolled back" in printed) == (connection.vendor == "postgresql")
    write(1)
    assert (verify().problem, verify().note) == ("", "")


def test_the_count_of_seals_only_grows(sealed: list[AuditEntry]) -> None:
    for statement in (
        "UPDATE audit_sealmark SET seq = 3",
        "UPDATE audit_sealmark SET id = 2",
        "DELETE FROM audit_sealmark",
        "INSERT OR REPLACE INTO audit_sealmark (id, seq) VALUES (1, 3)"
        if connection.vendor == "sqlite"
        else "TRUNCATE audit_sealmark",
    ):
        with pytest.raises(IntegrityError, match=append_only.REFUSAL), connection.cursor() as cursor:
            cursor.execute(statement)
    assert SealMark.objects.get().seq == 5
    append_only.unguard(connection)
    SealMark.objects.all().delete()
    append_only.guard(connection)
    assert "the count of its seals is gone" in told()


def test_seals_of_the_version_before_are_counted_by_the_next_one(sealed: list[AuditEntry]) -> None:
    """Which seals without counting, while both run."""
    append_only.unguard(connection)
    SealMark.objects.update(seq=2)
    append_only.guard(connection)
    assert not verify().problem
    write(1)
    assert not verify().problem
    assert SealMark.objects.get().seq == 6


def sweep_at(at: datetime) -> None:
    sweep = Sweep(clock=lambda: at)
    sweep.once()
    sweep.close()


def test_the_head_is_told_once_a_day_to_the_log_and_to_whoever_subscribed(
    sealed: list[AuditEntry], caplog: pytest.LogCaptureFixture
) -> None:
    for events in ([Event.JOURNAL], [Event.STARTED, Event.FAILED]):
        Subscription.objects.create(name=str(events), channel=Channel.EMAIL, target="a@example.com", events=events)
    last = AuditSeal.objects.get(seq=5)
    with caplog.at_level(logging.INFO, "executions.engine.journal_head"):
        for hours in (0, 1, 23):
            sweep_at(NOON + timedelta(hours=hours))
    assert [each.getMessage() for each in caplog.records if each.name.endswith("journal_head")] == [
        f"Journal head, once a day: {last}"
    ]
    sent = Delivery.objects.get()
    assert sent.subscription is not None
    assert sent.subscription.events == [Event.JOURNAL]
    assert sent.notice.data["head"] == str(last)
    assert f"audit_verify --head {last}" in sent.notice.text
    call_command("audit_verify", "--head", sent.notice.data["head"])
    sweep_at(NOON + timedelta(hours=24))
    assert Delivery.objects.count() == 2
    cut(sealed[4:])
    append_only.unguard(connection)  # somebody who knows of the count as well
    SealMark.objects.update(seq=4)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = 'audit_auditentry'", [sealed[3].pk])
    append_only.guard(connection)
    assert not verify().problem
    assert "is not in the chain" in verify(sent.notice.data["head"]).problem


@pytest.mark.parametrize("reads", [1, 2])
def test_who_seals_at_the_same_moment_cuts_nothing_off(reads: int, caplog: pytest.LogCaptureFixture) -> None:
    """Another seals one of two entries after this one's first, or second, look at where the seals end."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    write(2)
    looks = count(1)

    def meanwhile(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        found = execute(sql, params, many, context)
        looked = sql.startswith("SELECT") and ('FROM "audit_auditseal"' in sql or 'FROM "audit_sealmark"' in sql)
        if looked and next(looks) == reads:
            at_once([lambda: seal(limit=1)])
        return found

    with connection.execute_wrapper(meanwhile):
        seal()
    assert next(looks) > reads + 1
    assert verify().problem == ""
    assert AuditSeal.objects.count() == 2
    assert "cut" not in caplog.text
