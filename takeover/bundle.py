"""What another installation needs to go on where this one was lost: one sealed file (docs/adr/0114-takeover.md)."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max, Sum

from audit.models import AuditEntry, AuditSeal
from contract.clock import db_clock
from documents.export import exported
from executions import installation
from executions.models import Execution
from plans.models import RecoveryPlan
from runbooks.forms import made
from runbooks.runbook import runbook_of
from takeover import rows, sealed

README = """A bundle of DRS Orchestration: what another installation needs to go on when this one is lost.

    python manage.py takeover THIS_FILE

on an empty installation of the same version, with the same DJANGO_SECRET_KEY and with AWS credentials for the same
accounts. docs/runbook.md, "When this product is down", has every step.

runbooks.txt        every plan as a person would do it with the AWS command line, without this product
configuration.json  groups, plans and subscriptions for reading, without what is secret
rows.sealed         everything for the takeover, encrypted with the secret key
manifest.json       what is in it, and the SHA-256 of every file
seal.txt            HMAC-SHA256 of manifest.json with the secret key
"""
RUNBOOK_SECONDS = 2.0  # for runbooks, of which an installation may have hundreds; the others come with the next bundle
RUNBOOK_GOOD_FOR = 300.0  # groups and names of servers change, too
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """A bundle; `mark` tells what it is of, and `under_way` are the runs in it that are not over."""

    content: bytes
    at: datetime
    mark: str
    under_way: Sequence[uuid.UUID]
    name: str


class Runbooks:
    """The text of every plan's runbook, as far as there was time to make it."""

    def __init__(self) -> None:
        self.kept: dict[uuid.UUID, tuple[int, float, str]] = {}

    def text(self, seconds: float = RUNBOOK_SECONDS) -> str:
        until = time.monotonic() + seconds
        plans = list(RecoveryPlan.objects.order_by("name_key").values_list("pk", "version", "name"))
        self.kept = {pk: self.kept[pk] for pk, *_ in plans if pk in self.kept}
        for pk, version, _ in plans:
            known = self.kept.get(pk)
            is_good = known and known[0] == version and time.monotonic() < known[1] + RUNBOOK_GOOD_FOR
            if not is_good and time.monotonic() < until:
                self.kept[pk] = (version, time.monotonic(), made(runbook_of(pk), "txt", _NO_TIME).decode())
        missing = [name for pk, _, name in plans if pk not in self.kept]
        told = [f"Not made yet, look into the next bundle: {', '.join(missing)}\n"] if missing else []
        return "\n\n".join([*told, *(self.kept[pk][2] for pk, *_ in plans if pk in self.kept)])


def current_mark() -> str:
    """Another one as soon as anything has changed that people or engines did."""
    entry = AuditEntry.objects.aggregate(last=Max("pk"))["last"] or 0
    revisions = Execution.objects.active().aggregate(sum=Sum("revision"))["sum"] or 0
    return f"{entry}:{revisions}"


@contextmanager
def _one_moment() -> Iterator[None]:
    """A picture of the database that no writer changes, and that keeps none from writing."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        mode = connection.transaction_mode  # type: ignore[attr-defined]
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
        try:
            with transaction.atomic():
                yield
        finally:
            connection.transaction_mode = mode  # type: ignore[attr-defined]
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield


def make(runbooks: Runbooks, *, runbook_seconds: float = RUNBOOK_SECONDS) -> Made:
    """Everything as it is at one moment."""
    installation.own()  # it must be there before it is read
    with _one_moment():
        now, mark, ours = db_clock(), current_mark(), installation.own()
        ids = rows.runs(now)
        everything = {"tables": rows.dumped(ids), "roles": rows.roles()}
        under_way = list(Execution.objects.filter(pk__in=ids, ended_at=None).values_list("pk", "plan_name", "status"))
        files = {
            "README.txt": README.encode(),
            "configuration.json": exported("json", whole=False).encode(),
        }
        head = AuditSeal.objects.order_by("-seq").first()
    files["runbooks.txt"] = runbooks.text(runbook_seconds).encode()
    about = {
        "madeAt": now.isoformat(),
        "version": settings.VERSION,
        "migrations": applied(),
        "installation": {"line": str(ours.line), "key": str(ours.key), "epoch": ours.epoch},
        "journalHead": str(head) if head else "",
        "runsUnderWay": [{"id": str(pk), "plan": plan, "status": status} for pk, plan, status in under_way],
        "runs": len(ids),
    }
    # Of its own installation and epoch: one that comes back never writes over the bundle of the one that took over.
    name = f"drsorch-bundle-{ours.epoch:04}-{str(ours.key)[:8]}.zip"
    return Made(sealed.seal(files, rows.as_json(everything), about), now, mark, [pk for pk, *_ in under_way], name)


def applied() -> list[str]:
    """The migrations of this database: rows are put into tables of exactly the same form."""
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
