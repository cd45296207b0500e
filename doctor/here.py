"""What this installation can say of itself: settings, database, engine, notifications. Nothing here asks AWS."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from contract.clock import db_clock, utc
from contract.database_errors import cause
from doctor.findings import Check, Finding
from executions.installation import STOPPED, own_or_new
from executions.pacemaker import SILENT_AFTER, last_beat
from notify.models import Delivery, Subscription
from notify.states import Channel, DeliveryStatus
from protection.views import region_ages

OF_TLS = {"security.W004", "security.W008", "security.W012", "security.W016"}  # one line says all of them
CLOCKS_APART = timedelta(seconds=2)
OLDEST_POSTGRESQL = 150_000
BUNDLE_OLD = timedelta(minutes=15)  # engines write one every five minutes, even if nothing changes
ENGINE = (
    "Start an engine: manage.py engine, or the engine's service. docs/runbook.md says what to do when one is silent."
)


def all_here(now: datetime | None = None) -> Iterator[Finding]:
    yield from of_settings()
    usable = True
    for finding in of_database(now):
        usable = usable and finding.level.value != "FAILED"
        yield finding
    if usable:
        yield from of_engine()
        yield from of_takeover()
        yield from of_notifications()


def of_settings() -> Iterator[Finding]:
    """What Django's own checks and ours say of the settings; that they could be read at all is known by now."""
    check = Check("settings")
    found = [each for each in checks.run_checks(include_deployment_checks=not settings.DEBUG, databases=[]) if each.id]
    if not settings.SESSION_COOKIE_SECURE:
        found = [each for each in found if each.id not in OF_TLS]
        text = "The console is served over plain http: names, passwords and sessions can be read on the way."
        yield check.warning("DRSORCH_PUBLIC_URL", text, "Put TLS in front of it (docs/operations.md), but for a try.")
    for each in found:
        if each.is_serious(checks.ERROR):
            yield check.failed(str(each.id), str(each.msg), str(each.hint or "docs/operations.md has every setting."))
        elif each.is_serious(checks.WARNING):
            yield check.warning(str(each.id), str(each.msg), str(each.hint or "docs/operations.md has every setting."))
    if settings.AWS_ENDPOINT_URL_DRS:
        yield check.warning(
            "AWS_ENDPOINT_URL_DRS",
            f"DRS is asked at {settings.AWS_ENDPOINT_URL_DRS}, which is not AWS: a simulated DRS recovers nothing.",
            "Leave AWS_ENDPOINT_URL_DRS unset where real servers are to be recovered.",
        )
    if not settings.DELETION_PROTECTION:
        yield check.warning(
            "DeletionProtection",
            "The stack was deployed with DeletionProtection=false: the database can be deleted by mistake.",
            "Deploy the stack once more with DeletionProtection=true.",
        )
    if not any(each.is_serious(checks.ERROR) for each in found):
        yield check.ok("all", "Every setting has a value that the product can work with.")


def of_database(now: datetime | None = None) -> Iterator[Finding]:
    """Whether it answers, is as the product wants it, and keeps our time. `now` is our clock."""
    check = Check("database")
    try:
        theirs = db_clock()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, InterfaceError) as error:
        yield check.failed("connection", cause(error) or str(error), "See docs/runbook.md, “lost the database”.")
        return
    yield check.ok("connection", f"{connection.display_name} answers.")
    if missing:
        names = ", ".join(f"{migration.app_label} {migration.name}" for migration, _ in missing[:3])
        yield check.failed("migrations", f"{len(missing)} not applied: {names}.", "Run manage.py migrate.")
    else:
        yield check.ok("migrations", "All are applied.")
    apart = abs((now or datetime.now(UTC)) - theirs)
    if apart > CLOCKS_APART:
        yield check.failed(
            "clock",
            f"The clocks of this host and of the database are {apart.total_seconds():.0f} s apart.",
            "Set both by NTP: times of runs and the age of requests to AWS go by them.",
        )
    else:
        yield check.ok("clock", "The clocks of this host and of the database agree.")
    if connection.vendor == "postgresql":
        yield from _of_postgresql(check)
    else:
        yield check.warning(
            "SQLite",
            "SQLite serves one host; when that is lost, so is the product.",
            "Use PostgreSQL in production (docs/operations.md).",
        )


def _of_postgresql(check: Check) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('TimeZone'),"
            " coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
        )
        version, zone, encrypted = cursor.fetchone()
    if version < OLDEST_POSTGRESQL:
        yield check.failed("version", f"PostgreSQL {version // 10_000} is too old.", "Use PostgreSQL 15 or later.")
    else:
        yield check.ok("version", f"PostgreSQL {version // 10_000}.")
    if zone != "UTC":
        yield check.failed("time zone", f"The connection's time zone is {zone}.", "The product sets UTC itself.")
    else:
        yield check.ok("time zone", "UTC.")
    options = connection.settings_dict.get("OPTIONS", {})
    host = str(connection.settings_dict.get("HOST", ""))
    if not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1"):
        yield check.ok("encryption", "The database is on this host.")
    elif not encrypted:
        text = "What goes to the database and back is not encrypted."
        yield check.failed("encryption", text, "Add sslmode=verify-full and sslrootcert to DATABASE_URL.")
    elif options.get("sslmode") not in ("verify-ca", "verify-full"):
        text = f"The database's certificate is not checked (sslmode={options.get('sslmode', 'prefer')})."
        yield check.warning("encryption", text, "Add sslmode=verify-full and sslrootcert to DATABASE_URL.")
    else:
        yield check.ok("encryption", f"Encrypted, and the certificate is checked ({options['sslmode']}).")


def of_engine() -> Iterator[Finding]:
    """Whether one beats, and what it last read."""
    check = Check("engine")
    beat, now = last_beat(), db_clock()
    if beat is None:
        yield check.failed("heartbeat", "No engine has run yet: nothing is launched, and nothing is read.", ENGINE)
        return
    if now - beat > SILENT_AFTER:
        text = f"The last heartbeat is {(now - beat).total_seconds():.0f} s old: runs stand still."
        yield check.failed("heartbeat", text, ENGINE)
        return
    yield check.ok("heartbeat", "An engine is alive.")
    for age in region_ages():
        row, region = age.inventory, str(age.inventory)
        if row.error_code:
            text = f"The engine cannot read it: {row.error_code}: {row.error_message}"
            yield check.failed(region, text, "The check of this region's credentials and rights says more.")
        elif age.is_stale and row.initialized:
            text = "The engine has not read this region for some rounds."
            yield check.warning(region, text, "See docs/runbook.md, “AWS throttles”, if it stays so.")


def of_takeover() -> Iterator[Finding]:
    """Whether another installation could go on where this one is lost, and whether one has."""
    check, ours, now = Check("takeover"), own_or_new(), db_clock()
    if ours.superseded_by:
        yield check.failed("installation", STOPPED, "docs/runbook.md, “When this product is down”.")
    if not settings.BUNDLE:
        text = "No bundle is written: when this installation is lost, only a backup of its database is left."
        yield check.warning("bundle", text, "Set DRSORCH_BUNDLE to a place that does not go down with it.")
    elif ours.bundled_at is None or now - ours.bundled_at > BUNDLE_OLD:
        since = f"The last bundle is of {utc(ours.bundled_at)}" if ours.bundled_at else "No bundle was written yet"
        text = f"{since}: {ours.bundle_error or 'no engine writes one'}."
        yield check.failed(
            "bundle", text, f"Let the engines write to {settings.BUNDLE}; manage.py bundle tries it now."
        )
    else:
        yield check.ok("bundle", f"The last one is of {utc(ours.bundled_at)}.")


def of_notifications() -> Iterator[Finding]:
    """Whether somebody is told, and whether the last message to each went out."""
    check = Check("notifications")
    enabled = list(Subscription.objects.filter(enabled=True))
    if not enabled:
        text = "Nobody is told of runs that wait or fail."
        yield check.warning("subscriptions", text, "Notifications → New subscription, and send a test.")
    for each in enabled:
        if each.channel == Channel.EMAIL and not settings.MAIL:
            text = "It is for e-mail, and this installation sends none."
            yield check.failed(each.name, text, "Set DRSORCH_MAIL, or have the subscription use another channel.")
            continue
        last = Delivery.objects.filter(subscription=each, tried_at__isnull=False).newest_first().first()
        if last is None:
            text = "Nothing has been sent to it yet."
            yield check.warning(each.name, text, f"Notifications → Send a test to {each.name}.")
        elif last.status != DeliveryStatus.DELIVERED and last.error:
            text = f"The last message did not get through: {last.error}"
            yield check.failed(each.name, text, "Correct the subscription, and send a test.")
        else:
            yield check.ok(each.name, "The last message was delivered.")
