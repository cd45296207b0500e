"""`manage.py restore FILE`: the database as a backup has it, and active runs made safe (docs/adr/0011-restore.md)."""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from audit import sealing
from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry
from contract.clock import db_clock, utc
from contract.names import visible
from drsorch_site.backup import BackupError, others_at_work, put_back
from executions import pacemaker
from executions.launching import restored_runs
from executions.models import Execution


class Command(BaseCommand):
    help = "Replaces the database with a backup. Stop web and engines first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="what manage.py backup wrote")
        parser.add_argument(
            "--in-place",
            action="store_true",
            help="the database was put back by other means, as from a snapshot of RDS",
        )
        parser.add_argument("--force", action="store_true", help="replace a database that somebody seems to use")

    def handle(self, *args: Any, **options: Any) -> None:
        source: Path | None = options["file"]
        if (source is None) != options["in_place"]:
            raise CommandError("Name the backup; or say --in-place, without a name, if other means have put it back.")
        users = _beating() if source is None else _users()
        if users and not options["force"]:
            raise CommandError(f"The database is in use: {users}. Stop web and engines, or add --force.")
        if source is not None:
            try:
                put_back(source, set(MigrationLoader(connection).disk_migrations))
            except BackupError as error:
                raise CommandError(f"{error} The database is as it was.") from None
        call_command("migrate", interactive=False, verbosity=0)
        made = AuditEntry.objects.filter(verb="database.backup").order_by("-id").first()
        record(SYSTEM, "database.restore", subject_kind="database", subject_id=source.name if source else "in place")
        runs = restored_runs.prepare_for_recount()
        self._tell(made.at if made and source else None, runs)
        verdict = sealing.verify()
        if verdict.problem:
            raise CommandError(f"The journal of this backup does not hold: {verdict.problem}.")
        self.stdout.write(f"The journal holds: {verdict.checked} entries. Head: {verdict.head}")

    def _tell(self, made_at: datetime | None, runs: list[Execution]) -> None:
        when = utc(made_at) if made_at else "an unknown time"
        self.stdout.write(f"Restored: everything is as it was at {when}.")
        for run in runs:
            self.stdout.write(visible(f"Active then, waits for you now: {run} ({run.pk}, was {run.status})"))
        if runs:
            self.stdout.write(
                "Start an engine: it looks at AWS for what these runs launched since, and launches nothing."
            )
        self.stdout.write("Runs started after the backup are not in it: manage.py unknown_launches names them.")


def _users() -> str:
    """Who works with the database that would be replaced; one that cannot be asked has nobody."""
    try:
        return _beating() or others_at_work()
    except DatabaseError:
        return ""


def _beating() -> str:
    beat = pacemaker.last_beat() if "executions_pacemaker" in connection.introspection.table_names() else None
    return "an engine is running" if beat is not None and db_clock() - beat < pacemaker.SILENT_AFTER else ""
