"""The chain: it holds, it grows in one order, and it tells the first entry that was tampered with."""

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F

from audit import append_only
from audit.actor import SYSTEM
from audit.journal import record
from audit.journal_excerpt import Unsealable, seals_of
from audit.models import AuditEntry, AuditSeal, SealMark, UnsealedEntry
from audit.sealing import GENESIS, digest_of, seal, seal_digest, verify
from executions.engine.sweep import Sweep

pytestmark = pytest.mark.both


def write(count: int = 1) -> list[AuditEntry]:
    return [record(SYSTEM, "plan.create", subject_kind="plan", subject_id=n, after={"n": n}) for n in range(count)]


@pytest.fixture
def forger(db: None) -> Iterator[None]:
    """Somebody who owns the database, and removes the triggers first."""
    append_only.unguard(connection)
    yield
    append_only.guard(connection)


def told() -> str:
    append_only.guard(connection)
    with pytest.raises(CommandError) as refused:
        call_command("audit_verify")
    return str(refused.value)


@pytest.mark.django_db
def test_it_seals_what_is_open_once(django_assert_num_queries: object) -> None:
    entries = write(3)
    assert seal() == 3
    assert seal() == 0
    seals = list(AuditSeal.objects.all())
    assert [each.seq for each in seals] == [1, 2, 3]
    assert [each.entry for each in seals] == [each.pk for each in entries]
    assert [each.previous for each in seals] == [GENESIS, seals[0].digest, seals[1].digest]
    assert not UnsealedEntry.objects.exists()


@pytest.mark.django_db
def test_it_asks_one_question_when_there_is_nothing_to_seal(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]  # pytest-django gives its fixture no public type
        assert seal() == 0


@pytest.mark.django_db
def test_it_seals_a_batch_at_a_time() -> None:
    write(5)
    assert [seal(2), seal(2), seal(2), seal(2)] == [2, 2, 1, 0]
    assert verify().checked == 5


@pytest.mark.django_db
def test_the_sweep_seals() -> None:
    write(2)
    sweep = Sweep()
    sweep.once()
    sweep.close()
    assert AuditSeal.objects.count() == 2


@pytest.mark.django_db
def test_the_command_says_that_it_holds_and_where_it_ends() -> None:
    write(2)
    out = StringIO()
    call_command("audit_verify", stdout=out)
    last = AuditSeal.objects.get(seq=2)
    assert out.getvalue() == f"The journal holds: 2 entries. Head: 2:{last.digest}\n"
    write(1)
    call_command("audit_verify", "--head", str(last), stdout=out)
    assert verify("2:" + "f" * 64).problem == f"the head 2:{'f' * 64} that was recorded earlier is not in the chain"


@pytest.mark.django_db
def test_the_digest_covers_every_column() -> None:
    entry = write()[0]
    digest = digest_of(entry, GENESIS)
    for field in AuditEntry._meta.concrete_fields:
        changed = AuditEntry.objects.get(pk=entry.pk)
        value = getattr(changed, field.attname)
        other = {"at": entry.at.replace(year=2001), "refused": True, "id": entry.pk + 1}.get(field.name, f"{value}x")
        setattr(changed, field.attname, other)
        assert digest_of(changed, GENESIS) != digest, field.name
    assert digest_of(AuditEntry.objects.get(pk=entry.pk), GENESIS) == digest


@pytest.mark.django_db
def test_entries_of_before_actors_had_ids_hold_beside_new_ones() -> None:
    """As the version before wrote and sealed them."""
    old = AuditEntry.objects.create(
        actor="ada", actor_kind="person", verb="plan.create", subject_kind="plan", subject_id="1"
    )
    names = [field.attname for field in AuditEntry._meta.concrete_fields if field.attname != "actor_id"]
    at = old.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps({name: getattr(old, name) for name in names} | {"at": at}, sort_keys=True, separators=(",", ":"))
    content = hashlib.sha256(text.encode()).hexdigest()
    AuditSeal.objects.create(seq=1, entry=old.pk, previous=GENESIS, digest=seal_digest(GENESIS, content))
    write(2)
    assert verify().problem == ""
    assert verify().checked == 3


def test_neither_form_passes_for_the_other(forger: None) -> None:
    entries = write_unguarded(2)
    AuditEntry.objects.filter(pk=entries[1].pk).update(actor_id=None)
    assert f"entry {entries[1].pk} (seal 2: " in told()


def test_it_names_the_first_entry_that_was_changed(forger: None) -> None:
    entries = write_unguarded(4)
    AuditEntry.objects.filter(pk__in=[entries[1].pk, entries[3].pk]).update(actor="somebody else")
    assert f"entry {entries[1].pk} (seal 2: " in told()
    assert verify().checked == 1


def write_unguarded(count: int) -> list[AuditEntry]:
    """Entries and their seals, while the triggers are away."""
    entries = write(count)
    UnsealedEntry.objects.bulk_create(UnsealedEntry(entry=each.pk) for each in entries)
    seal()
    return entries


def test_it_sees_a_removed_entry(forger: None) -> None:
    entries = write_unguarded(3)
    AuditEntry.objects.filter(pk=entries[1].pk).delete()
    assert f"entry {entries[1].pk} (seal 2) is missing" in told()


def test_it_sees_a_removed_seal(forger: None) -> None:
    write_unguarded(3)
    AuditSeal.objects.filter(seq=2).delete()
    assert "seal 2 is missing" in told()


def test_it_sees_a_chain_that_was_cut_short_by_its_noted_head(forger: None) -> None:
    entries = write_unguarded(3)
    head = str(AuditSeal.objects.get(seq=3))
    AuditSeal.objects.filter(seq=3).delete()
    AuditEntry.objects.filter(pk=entries[2].pk).delete()
    SealMark.objects.update(seq=2)  # and with it what tells by itself: see test_journal_end.py
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE sqlite_sequence SET seq = %s WHERE name = 'audit_auditentry'", [entries[1].pk])
    append_only.guard(connection)
    assert not verify().problem
    assert "is not in the chain" in verify(head).problem


def test_it_sees_an_entry_that_was_slipped_in(forger: None) -> None:
    write_unguarded(2)
    slipped = write()[0]
    assert f"entry {slipped.pk} " in told()
    assert verify().checked == 2


def test_a_slice_with_an_entry_that_nobody_seals_is_refused(forger: None) -> None:
    write_unguarded(1)
    slipped = write()[0]
    with pytest.raises(Unsealable, match=f"{slipped.pk}.*audit_verify"):
        seals_of([slipped.pk])


def test_it_sees_an_entry_that_was_removed_before_it_was_sealed(forger: None) -> None:
    entry = write()[0]
    UnsealedEntry.objects.create(entry=entry.pk)
    entry.delete()
    assert "was removed before it was sealed" in told()


def test_it_sees_swapped_entries_and_an_exchanged_seal(forger: None) -> None:
    write_unguarded(2)
    AuditSeal.objects.filter(seq=2).update(digest=F("previous"))
    assert "(seal 2: " in told()


def test_it_sees_missing_triggers(forger: None) -> None:
    write_unguarded(1)
    assert "lacks the triggers" in verify().problem


def test_a_sealed_entry_that_is_queued_again_blocks_nobody(forger: None) -> None:
    entry = write_unguarded(1)[0]
    UnsealedEntry.objects.create(entry=entry.pk)
    append_only.guard(connection)
    write(1)
    assert seal() == 1
    assert not UnsealedEntry.objects.exists()
    assert not verify().problem


@pytest.mark.django_db(transaction=True)
def test_writers_and_sealers_at_once_make_one_chain() -> None:
    barrier = threading.Barrier(6)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait(10)
            for _ in range(10):
                if number % 2:
                    seal(3)
                else:
                    with transaction.atomic():
                        write(2)
        except BaseException as error:  # told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert verify().checked == 60
    assert not verify().problem
