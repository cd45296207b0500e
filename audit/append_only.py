"""Triggers that let journal and seals only grow, and that queue each new entry for its seal.

A migration makes them. On SQLite a later migration that alters one of the tables makes the table anew, without its
triggers: such a migration must call `guard` again (`manage.py audit_verify` and the tests say so if it does not).
"""

from django.db.backends.base.base import BaseDatabaseWrapper

ENTRIES, SEALS, QUEUE, MARK = "audit_auditentry", "audit_auditseal", "audit_unsealedentry", "audit_sealmark"
# The columns by which a new row could replace an old one.
KEYS = {ENTRIES: ("id",), SEALS: ("seq", "entry")}
REFUSAL = "the journal is append-only"
_ENQUEUE = f"INSERT INTO {QUEUE} (entry) VALUES (NEW.id)"  # noqa: S608  (names of ours)


def guard(connection: BaseDatabaseWrapper) -> None:
    """Make every trigger anew."""
    unguard(connection)
    on_sqlite = connection.vendor == "sqlite"
    made = _sqlite() if on_sqlite else _postgresql()
    if MARK in connection.introspection.table_names():  # it came with a later migration
        made += _mark_sqlite() if on_sqlite else _mark_postgresql()
    _run(connection, made)


def unguard(connection: BaseDatabaseWrapper) -> None:
    """Remove them: for the way back of the migration."""
    of = "" if connection.vendor == "sqlite" else " ON {table}"
    statements = [f"DROP TRIGGER IF EXISTS {name}{of.format(table=table)}" for name, table in _names(connection.vendor)]
    _run(connection, statements)


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The names of triggers that should be there, and are not or do not always fire."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        else:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgenabled = 'A'")
        found = {name for (name,) in cursor.fetchall()}
    return sorted({name for name, _ in _names(connection.vendor)} - found)


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _names(vendor: str) -> list[tuple[str, str]]:
    kinds = ("update", "delete", "replace") if vendor == "sqlite" else ("change", "truncate")
    tables = (*KEYS, MARK)
    return [(f"{table}_{kind}", table) for table in tables for kind in kinds] + [(f"{ENTRIES}_queue", ENTRIES)]


def _sqlite() -> list[str]:
    """REPLACE deletes without firing delete triggers: the row that it would replace is looked for before it inserts."""
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    made = [f"CREATE TRIGGER {ENTRIES}_queue AFTER INSERT ON {ENTRIES} BEGIN {_ENQUEUE}; END"]
    for table, columns in KEYS.items():
        clash = " OR ".join(f"{column} = NEW.{column}" for column in columns)
        made += [
            f"CREATE TRIGGER {table}_update BEFORE UPDATE ON {table} {refuse}",
            f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table} {refuse}",
            f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table}"  # noqa: S608  (names of ours)
            f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {clash}) {refuse}",
        ]
    return made


def _postgresql() -> list[str]:
    """ALWAYS: they fire in a session that calls itself a replica, too."""
    made = [
        f"CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$",
        f"CREATE OR REPLACE FUNCTION audit_queue() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {_ENQUEUE}; RETURN NULL; END $$",
        f"CREATE TRIGGER {ENTRIES}_queue AFTER INSERT ON {ENTRIES} FOR EACH ROW EXECUTE FUNCTION audit_queue()",
    ]
    for table in KEYS:
        made += [
            f"CREATE TRIGGER {table}_change BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
            f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
        ]
    return made + _always(*KEYS)


def _always(*tables: str) -> list[str]:
    names = [(name, table) for name, table in _names("postgresql") if table in tables]
    return [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for name, table in names]


# The mark may grow, and nothing else.


def _mark_sqlite() -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    return [
        f"CREATE TRIGGER {MARK}_update BEFORE UPDATE ON {MARK} WHEN NEW.seq < OLD.seq OR NEW.id <> OLD.id {refuse}",
        f"CREATE TRIGGER {MARK}_delete BEFORE DELETE ON {MARK} {refuse}",
        f"CREATE TRIGGER {MARK}_replace BEFORE INSERT ON {MARK}"  # noqa: S608  (names of ours)
        f" WHEN EXISTS (SELECT 1 FROM {MARK} WHERE id = NEW.id) {refuse}",
    ]


def _mark_postgresql() -> list[str]:
    return [
        "CREATE OR REPLACE FUNCTION audit_grow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.seq >= OLD.seq THEN RETURN NEW; END IF;"
        f" RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$",
        f"CREATE TRIGGER {MARK}_change BEFORE UPDATE OR DELETE ON {MARK} FOR EACH ROW EXECUTE FUNCTION audit_grow()",
        f"CREATE TRIGGER {MARK}_truncate BEFORE TRUNCATE ON {MARK} FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
        *_always(MARK),
    ]
