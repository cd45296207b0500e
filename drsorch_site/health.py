"""What load balancers and supervisors ask: does this process answer, and is the whole product ready?"""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection
from django.db import Error as DatabaseTrouble
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from contract.clock import db_clock
from contract.database_errors import cause
from drsorch_site.metrics import has_token
from executions import installation, pacemaker
from protection.views import RegionAge, region_ages

log = logging.getLogger(__name__)

KEPT_SECONDS = 1.0
LEAST_FREE = 50_000_000  # bytes: SQLite's log and its next pages


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while this process can answer at all. It asks no database: that another installation has taken over, which
    is no reason to take this process away, it says once a page or `/readyz` has found out."""
    told = {"status": "ok"}
    if latest.found.checks.get("installation", "ok") != "ok":
        told["installation"] = "superseded"
    return JsonResponse(told)


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, its tables are up to date and an engine beats; else 503.

    Strangers are told that alone; what is wrong, whoever has the metrics token or is signed in. How old the inventory
    is stands beside it: old news of servers must not take the console away.
    """
    found = latest.get()
    told: dict[str, object] = {"status": "ok" if found.is_ready else "not ready"}
    if _may_see_more(request):
        told |= {"checks": found.checks, "inventory": found.inventory}
    return JsonResponse(told, status=200 if found.is_ready else 503)


def _may_see_more(request: HttpRequest) -> bool:
    try:
        return has_token(request) or request.user.is_authenticated
    except DatabaseTrouble:  # who it is cannot be known now; the answer is 503 without it
        return False


@dataclass(frozen=True)
class Found:
    """What was looked at, each with "ok" or what is wrong, and how old each region's inventory is."""

    checks: Mapping[str, str]
    inventory: Mapping[str, str]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is wrong."""
        return all(text == "ok" for text in self.checks.values())


class _Latest:
    """What a process found a moment ago: strangers may ask as often as they like."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.made_at, self.found = float("-inf"), Found({"database": "not asked yet"}, {})

    def get(self) -> Found:
        if time.monotonic() - self.made_at > KEPT_SECONDS:
            self.found = _look()
            self.made_at = time.monotonic()
        return self.found


latest = _Latest()


def _look() -> Found:
    checks = _checks()
    return Found(checks, _inventory(checks))


def _inventory(checks: dict[str, str]) -> dict[str, str]:
    """When each region was last read, as far as the database can say."""
    if checks.get("migrations") != "ok":
        return {}
    ages = region_ages()
    return {" ".join(filter(None, reversed(age.place))): _age_of(age) for age in ages}


def _age_of(age: RegionAge) -> str:
    if age.inventory.as_of is None:
        return "never read"
    seconds = max((db_clock() - age.inventory.as_of).total_seconds(), 0)
    return f"{'stale: ' if age.is_stale else ''}read {seconds:.0f} s ago"


def _checks() -> dict[str, str]:
    try:
        now = db_clock()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        beat = pacemaker.last_beat() if not missing else None
        taken_over = not missing and installation.is_superseded()
        trouble = _trouble_with_writing()
    except (DatabaseError, InterfaceError) as error:
        trouble = cause(error)
        if not trouble:  # a mistake of ours, which nobody finds without its place
            log.exception("Readiness could not be looked at")
        return {"database": trouble or "a query failed; the log says why"}
    migrations = f"{len(missing)} not applied; run manage.py migrate" if missing else "ok"
    if beat is None:
        engine = "none has run yet"
    elif now - beat > pacemaker.SILENT_AFTER:
        engine = f"silent for {(now - beat).total_seconds():.0f} s"
    else:
        engine = "ok"
    checks = {"database": trouble or "ok", "migrations": migrations, "engine": engine}
    return checks | ({"installation": installation.STOPPED} if taken_over else {})


def _trouble_with_writing() -> str:
    """Why nothing could be saved now; empty when it could, as far as can be told without saving anything."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_read_only")
            return "is read-only" if cursor.fetchone()[0] == "on" else ""
        cursor.execute("PRAGMA query_only")
        file = Path(connection.settings_dict["NAME"])
        if cursor.fetchone()[0] or not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
            return "is read-only"
    free = shutil.disk_usage(file.parent).free
    return f"its disk is full: {free // 1_000_000} MB left" if free < LEAST_FREE else ""
