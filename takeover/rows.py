"""Which rows a bundle holds: what people have made, and the runs that are under way or were lately.

Not in it: passwords, tokens, sessions, what was sent to whom, older runs, and what DRS tells anew within a minute.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Max, Model, Q, QuerySet

from accounts.models import Account
from audit.models import AuditEntry
from contract.models import IdempotencyKey
from executions.models import (
    Execution,
    GateEntry,
    JobEvent,
    LaunchJob,
    OutsideTermination,
    RunNumber,
    ServerHold,
    ServerRun,
    TerminationJob,
    WaveRun,
)
from findings.models import Finding, SignOff
from identity.models import Identity, ScopedRole, ServiceClient
from native_plans.models import Mirror
from notify.models import Subscription
from plans.models import PlanLabel, RecoveryPlan, Wave, WaveGroup, WaveServer
from protection.models import GroupLabel, ProtectionGroup, ServerAssignment
from schedules.models import Occurrence, Schedule

Table = dict[str, Any]  # `model`, `columns`, `rows`
RECENT = timedelta(days=7)
MOST_RECENT = 50
REQUESTS = 500
JOURNAL = 1_000  # the newest entries, beside those of the runs
EMPTY_BEFORE = (RecoveryPlan, ProtectionGroup, Execution, Account, User)  # what an installation has that is in use
# A column that leads to a row which may not be in the bundle is empty then.
LOOSE = {(Execution, "retry_of_id"), (Occurrence, "execution_id"), (Finding, "execution_id")}
UNUSABLE = "!"  # a password that opens nothing


def runs(now: datetime) -> list[uuid.UUID]:
    """Those under way, those that still have something to do, and the last few that ended."""
    ended = Execution.objects.filter(ended_at__gt=now - RECENT).order_by("-ended_at")
    recent = list(ended.values_list("pk", flat=True)[:MOST_RECENT])
    at_work = Q(ended_at=None) | Q(next_step_at__isnull=False) | Q(lease_ends_at__isnull=False, lease_over_at=None)
    return list(Execution.objects.filter(at_work | Q(pk__in=recent)).order_by("pk").values_list("pk", flat=True))


def dumped(ids: Sequence[uuid.UUID]) -> list[Table]:
    """The tables, those first to which others lead."""
    return [_table(each, set(ids)) for each in (*_configuration(), *_of_runs(ids))]


def _configuration() -> Iterator["QuerySet[Any]"]:
    for model in (Account, ProtectionGroup, GroupLabel, ServerAssignment, RecoveryPlan, PlanLabel, Wave):
        yield _all(model)
    yield _all(Wave.depends_on.through)
    for more in (WaveGroup, WaveServer, Subscription, Schedule, Occurrence, Mirror, User, Identity, ServiceClient):
        yield _all(more)


def _all(model: type[Model]) -> "QuerySet[Any]":
    return model._base_manager.order_by("pk")


def _of_runs(ids: Sequence[uuid.UUID]) -> Iterator["QuerySet[Any]"]:
    yield _all(Execution).filter(pk__in=ids)
    newest = RunNumber.objects.aggregate(newest=Max("pk"))["newest"]  # numbers go on after it
    yield _all(RunNumber).filter(Q(execution_id__in=ids) | Q(pk=newest))
    yield _all(Finding)
    for model in (WaveRun, TerminationJob, ServerHold, SignOff):
        yield _all(model).filter(execution__in=ids)
    for more in (LaunchJob, ServerRun, GateEntry):
        yield _all(more).filter(wave__execution__in=ids)
    yield _all(JobEvent).filter(job__wave__execution__in=ids)
    yield _all(OutsideTermination).filter(next_look_at__isnull=False)
    yield IdempotencyKey._base_manager.order_by("-pk")[:REQUESTS]  # a program may send its last request again
    newest = AuditEntry.objects.aggregate(newest=Max("pk"))["newest"] or 0
    of_runs = Q(subject_kind="execution", subject_id__in=[str(each) for each in ids])
    yield _all(AuditEntry).filter(of_runs | Q(pk__gt=newest - JOURNAL))


def _table(rows: "QuerySet[Any]", ids: set[uuid.UUID]) -> Table:
    columns = [field.attname for field in rows.model._meta.concrete_fields]
    found = [list(row) for row in rows.values_list(*columns).iterator()]
    for model, column in LOOSE:
        if model is rows.model:
            at = columns.index(column)
            for row in found:
                row[at] = row[at] if row[at] in ids else None
    if rows.model is User:
        at = columns.index("password")
        for row in found:
            row[at] = UNUSABLE
    return {"model": rows.model._meta.label, "columns": columns, "rows": found}


def roles() -> dict[str, Any]:
    """Who is in which group, and which roles groups have for a part: groups by name, as each installation has its own
    rows of them."""
    members = User.groups.through._base_manager.order_by("pk").values_list("user_id", "group__name")
    columns = ("group__name", "role", "account_id", "key", "value", "made_by", "made_at")
    return {"members": list(members), "scoped": list(ScopedRole.objects.order_by("pk").values_list(*columns))}


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> str:
    """As the fields read it again, to the microsecond."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a bundle")


# The way back


def in_use() -> str:
    """What this installation has already; empty for one that nobody has used yet."""
    found = [model._meta.verbose_name_plural for model in EMPTY_BEFORE if model._base_manager.exists()]
    return ", ".join(map(str, found))


def put_in(tables: Sequence[Table], given: Mapping[str, Any]) -> None:
    """All rows, as they were. Inside a transaction."""
    models = []
    for table in tables:
        model = apps.get_model(table["model"])
        fields = [
            next(each for each in model._meta.concrete_fields if each.attname == name) for name in table["columns"]
        ]
        rows = (
            model(**{each.attname: each.to_python(value) for each, value in zip(fields, row, strict=True)})
            for row in table["rows"]
        )
        model._base_manager.bulk_create(rows, batch_size=500)
        models.append(model)
    _put_in_roles(given)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)


def _put_in_roles(given: Mapping[str, Any]) -> None:
    names = {name for _, name in given["members"]} | {row[0] for row in given["scoped"]}
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in sorted(names)}
    through = User.groups.through
    through._base_manager.bulk_create(
        through(user_id=user, group_id=groups[name].pk) for user, name in given["members"]
    )
    ScopedRole.objects.bulk_create(
        ScopedRole(group=groups[name], role=role, account_id=account, key=key, value=value, made_by=by, made_at=at)
        for name, role, account, key, value, by, at in given["scoped"]
    )
