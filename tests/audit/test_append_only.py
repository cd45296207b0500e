"""The database itself refuses whatever would change or remove what the journal says."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, transaction

from audit import append_only
from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry, AuditSeal, UnsealedEntry
from audit.sealing import seal

pytestmark = [pytest.mark.both, pytest.mark.django_db]

ON_SQLITE, ON_POSTGRESQL = connection.vendor == "sqlite", connection.vendor == "postgresql"
COLUMNS = (
    "actor, actor_kind, verb, subject_kind, subject_id, subject_name, outcome, refused, detail, address, request_id"
)
VALUES = "'forger', 'person', 'plan.delete', 'plan', '1', '', 'ok', false, '{}', '', ''"


@pytest.fixture
def entry() -> AuditEntry:
    made = record(SYSTEM, "plan.create", subject_kind="plan", subject_id="1", subject_name="Payments")
    seal()
    return made


def refused(*statements: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    except IntegrityError as error:
        return append_only.REFUSAL in str(error)
    return False


def test_it_refuses_update_and_delete_through_the_orm(entry: AuditEntry) -> None:
    for work in (
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(actor="forger"),
        lambda: AuditEntry.objects.all().delete(),
        entry.save,
        entry.delete,
        lambda: AuditSeal.objects.update(digest="0" * 64),
        lambda: AuditSeal.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match=append_only.REFUSAL), transaction.atomic():
            work()
    assert AuditEntry.objects.get().actor == "system"


@pytest.mark.parametrize("table", [append_only.ENTRIES, append_only.SEALS])
def test_it_refuses_update_and_delete_in_sql(entry: AuditEntry, table: str) -> None:
    column = "actor" if table == append_only.ENTRIES else "digest"
    assert refused(f"UPDATE {table} SET {column} = 'x'")
    assert refused(f"DELETE FROM {table}")


@pytest.mark.skipif(not ON_SQLITE, reason="SQLite's statement")
def test_it_refuses_to_replace_on_sqlite(entry: AuditEntry) -> None:
    assert refused(f"INSERT OR REPLACE INTO audit_auditentry (id, at, {COLUMNS}) VALUES ({entry.pk}, 'now', {VALUES})")
    assert refused(f"REPLACE INTO audit_auditentry (id, at, {COLUMNS}) VALUES ({entry.pk}, 'now', {VALUES})")
    assert refused(f"UPDATE OR REPLACE audit_auditentry SET id = {entry.pk}")
    seals = "INSERT OR REPLACE INTO audit_auditseal (seq, entry, previous, digest, sealed_at) VALUES"
    assert refused(f"{seals} (1, 99, '', '', 'now')")
    assert refused(f"{seals} (99, {entry.pk}, '', '', 'now')")


@pytest.mark.skipif(not ON_POSTGRESQL, reason="PostgreSQL's statements")
def test_it_refuses_to_truncate_and_upsert_on_postgresql(entry: AuditEntry) -> None:
    for table in (append_only.ENTRIES, append_only.SEALS):
        assert refused(f"TRUNCATE {table}")
        assert refused(f"TRUNCATE {table} CASCADE")
        assert refused("SET LOCAL session_replication_role = replica", f"DELETE FROM {table}")
    upsert = f"INSERT INTO audit_auditentry (id, {COLUMNS}) VALUES ({entry.pk}, {VALUES})"
    assert refused(f"{upsert} ON CONFLICT (id) DO UPDATE SET actor = 'forger'")


def test_it_queues_whatever_is_inserted() -> None:
    with connection.cursor() as cursor:
        at = "'2026-01-01 00:00:00'"
        cursor.execute(f"INSERT INTO audit_auditentry (at, {COLUMNS}) VALUES ({at}, {VALUES})")
    assert UnsealedEntry.objects.get().pk == AuditEntry.objects.get().pk


def test_it_misses_no_trigger_and_says_which_one_is_gone() -> None:
    assert append_only.missing(connection) == []
    with transaction.atomic(), connection.cursor() as cursor:
        name = "audit_auditentry_delete" if ON_SQLITE else "audit_auditentry_change"
        cursor.execute(f"DROP TRIGGER {name}" + ("" if ON_SQLITE else " ON audit_auditentry"))
        assert append_only.missing(connection) == [name]


def test_the_migration_finds_its_way_back_and_forth_again(entry: AuditEntry) -> None:
    migration = import_module("audit.migrations.0002_append_only")
    editor = type("Editor", (), {"connection": connection})
    migration.unguard(apps, editor)
    AuditEntry.objects.filter(pk=entry.pk).update(actor="somebody")
    UnsealedEntry.objects.all().delete()
    migration.guard(apps, editor)
    assert append_only.missing(connection) == []
    assert UnsealedEntry.objects.filter(pk=entry.pk).exists()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(actor="somebody else")
