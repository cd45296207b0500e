"""A verdict that is kept because its grounds are as they were is the one that weighing would come to."""

import random
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Model

from bench.seed import seed
from contract.clock import db_clock
from drs.errors import OTHER_ACCOUNT
from executions.models import Execution, Installation, LaunchJob, PlanReadiness, ServerHold, ServerRun
from executions.readiness import stored_verdicts
from executions.readiness.facts import SERVER
from executions.states import Kind, LaunchStatus
from native_plans.models import Mirror
from plans.models import RecoveryPlan, Wave, WaveServer
from protection.models import LaunchSettings, ProtectionGroup, RegionInventory, SourceServer
from tests.console import world

STEPS = 60
LETTERS = ("", "a", "b")


def times(now: datetime) -> list[datetime | None]:
    ages = (0, 1, 59, 299, 300, 301, 599, 601, 3_600, 21_599, 21_601, 90 * 86_400 - 1, 90 * 86_400 + 1)
    return [None, *(now - timedelta(seconds=each) for each in ages)]


def servers(now: datetime) -> dict[str, Any]:
    return {
        "name": ("x", "y"), "region": ("us-east-1", "us-west-2"), "gone_at": times(now),
        "lag_seconds": (None, 0, 61, 90_000),
        "replication_state": ("CONTINUOUS", "STALLED", "STOPPED", "BACKLOG", "CREATING_SNAPSHOT", "INITIAL_SYNC"),
        "seen_at": times(now)[1:], "latest_snapshot_at": times(now), "launch_template_id": LETTERS,
        "details_as_of": times(now), "recovery_instance_id": ("", "i-1", "i-2"), "replication_error": LETTERS,
        "staging_status": ("", "EXTENSION_ERROR", "EXTENDED"), "staging_error": LETTERS,
        "replication_direction": ("", "FAILBACK"), "starts_stopped": (None, True, False),
        "has_actions": (None, True, False), "launch_digest": LETTERS, "cpu_cores": (0, 4, 999),
        "agent_silent_since": times(now), "instance_type": ("", "m5.large"),
        "account_id": (world.ACCOUNT, "222222222222"), "extended_of": ("", "s-0000000000000000a"),
    }  # fmt: skip


def regions(now: datetime) -> dict[str, Any]:
    jobs = [{"jobId": f"drsjob-{number}", "servers": ["s-1"] * 90} for number in range(21)]
    native = {"arn": "a", "planArn": "p", "planName": "n", "mode": "DRILL", "status": "RUNNING"}
    return {
        "as_of": times(now), "jobs_as_of": times(now), "native_as_of": times(now), "initialized": (True, False),
        "error_code": ("", OTHER_ACCOUNT, "Nope"), "error_message": LETTERS, "details_error": LETTERS,
        "running_jobs": ([], jobs, jobs[:1]), "checks_error": LETTERS, "templates_error": LETTERS,
        "actions_denied": LETTERS, "native_error": LETTERS,
        "native_runs": (None, [{**native, "servers": list(SourceServer.objects.values_list("pk", flat=True)[:3])}]),
        "capacity": (None, {"quotas_error": "no"}, {"asked_subnets": ["s"]}, {"subnets": {"s": 0}}),
    }  # fmt: skip


def others(now: datetime) -> list[tuple[type[Model], dict[str, Any]]]:
    return [
        (RecoveryPlan, {"rpo_minutes": (None, 1, 5), "version": (1, 2), "mirror_to_drs": (True, False)}),
        (Execution, {"ended_at": times(now)[1:], "dry_run": (True, False), "kind": list(Kind), "plan_copy": ({},)}),
        (ServerRun, {"recovery_instance_id": ("", "i-1"), "terminated_at": times(now), "launch_digest": LETTERS}),
        (ServerRun, {"launch_status": [LaunchStatus.TERMINATED, LaunchStatus.FAILED]}),
        (LaunchJob, {"job_id": ("drsjob-1", "drsjob-99")}),
        (ProtectionGroup, {"match": (None, {"tags": {"a": "b"}}), "account_id": (world.ACCOUNT, "222222222222")}),
        (Installation, {"superseded_by": LETTERS}),
        (Mirror, {"digest": ("", "d"), "version": (1, 2), "differs": ([], ["x."]), "error": LETTERS, "kept": (True,)}),
    ]


def change(rng: random.Random, now: datetime) -> None:
    """One column of some rows, or a row less."""
    known = [(SourceServer, servers(now))] * 6 + [(RegionInventory, regions(now))] * 4 + others(now)
    model, columns = rng.choice(known)
    column = rng.choice(list(columns))
    keys: list[Any] = list(model._default_manager.values_list("pk", flat=True))
    some = rng.sample(keys, min(len(keys), rng.choice((1, 2, 9))))
    rows = model._default_manager.filter(pk__in=some)
    with suppress(IntegrityError), transaction.atomic():  # some rows may not be so
        rows.update(**{column: rng.choice(list(columns[column]))})
    if rng.random() < 0.05:
        rng.choice(
            (ServerHold.objects.all(), Wave.objects.filter(number=1), WaveServer.objects.filter(position=1))
        ).delete()


def said(now: datetime) -> dict[uuid.UUID, tuple[Any, ...]]:
    """What weighing comes to."""
    weighed = stored_verdicts._weighed(list(RecoveryPlan.objects.values_list("pk", flat=True)), now)
    return {
        pk: (
            on.verdict,
            [each.text for each in on.reasons[:5]],
            stored_verdicts._overdue(on) is not None,
            on.expires_at,
        )
        for pk, on in weighed.items()
    }


def kept() -> dict[uuid.UUID, tuple[Any, ...]]:
    rows = PlanReadiness.objects.values_list("plan_id", "verdict", "reasons", "drill_overdue", "expires_at")
    return {pk: tuple(row) for pk, *row in rows}


@pytest.fixture
def weighings(db: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Some plans, most with a history; how many were weighed in each round."""
    seed(groups=10, servers=2, plans=5, executions=40)
    world.sharing(world.paused())
    drills = Execution.objects.filter(plan__isnull=False, kind=Kind.DRILL, status="COMPLETED")
    ServerRun.objects.filter(wave__execution__in=drills, launch_status="LAUNCHED").update(launch_digest="a")
    for digest, subnet in (("a", "s"), ("b", "t")):
        LaunchSettings.objects.create(digest=digest, settings={"subnetIds": [subnet], "instanceType": "m5.large"})
    for row in SourceServer.objects.all():
        row.launch_digest, row.details_as_of, row.latest_snapshot_at = "a", row.seen_at, row.seen_at
        row.launch_template_id = "lt"
        row.save()
    RegionInventory.objects.update(jobs_as_of=db_clock())
    RecoveryPlan.objects.filter(name__gte="Plan 00003").update(rpo_minutes=1)
    Mirror.objects.create(plan=RecoveryPlan.objects.first(), digest="d", version=1)
    Installation.objects.get_or_create(pk=1)
    found, weigh = list[int](), stored_verdicts._weighed

    def counting(plans: Any, now: datetime) -> Any:
        found.append(len(plans))
        return weigh(plans, now)

    monkeypatch.setattr(stored_verdicts, "_weighed", counting)
    return found


def turn(now: datetime) -> None:
    stored_verdicts.refresh(now)
    assert kept() == said(now)


@pytest.mark.both
@pytest.mark.parametrize("number", [0, *(pytest.param(each, marks=pytest.mark.long) for each in range(1, 5))])
def test_whatever_changes_and_whenever_what_is_kept_is_what_would_be_weighed(
    weighings: list[int], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_verdicts, "KEPT_FOR", timedelta(days=9_999))
    rng, now = random.Random(number), db_clock()
    for _ in range(STEPS):
        turn(now)
        now += rng.choice([timedelta(seconds=121)] * 6 + [timedelta(minutes=6), timedelta(hours=3), timedelta(days=50)])
        if rng.random() < 0.9:  # as an engine's rounds do
            RegionInventory.objects.update(as_of=now, jobs_as_of=now, native_as_of=now)
            SourceServer.objects.update(seen_at=now)
        if rng.random() < 0.2:
            SourceServer.objects.update(details_as_of=now)
        for _ in range(rng.choice((0, 1, 2))):
            change(rng, now)


def test_a_round_without_news_weighs_nothing_and_what_is_read_anew_is_believed_longer(weighings: list[int]) -> None:
    now = db_clock()
    turn(now)
    before = sum(weighings)
    for _ in range(3):
        now += timedelta(seconds=121)
        RegionInventory.objects.update(as_of=now, jobs_as_of=now)
        SourceServer.objects.update(seen_at=now, lag_seconds=7)
        weighings.clear()
        turn(now)
        assert weighings == [len(kept())]  # by `said` alone
        assert {expires_at for *_, expires_at in kept().values()} == {now + timedelta(minutes=5)}
    assert before == 2 * len(kept())
    now += stored_verdicts.KEPT_FOR
    RegionInventory.objects.update(as_of=now, jobs_as_of=now)
    SourceServer.objects.update(seen_at=now)
    weighings.clear()
    turn(now)
    assert sum(weighings) == 2 * len(kept()), "on the same grounds, but not for ever"


def test_what_another_engine_has_weighed_meanwhile_is_not_kept_for_ones_own(weighings: list[int]) -> None:
    now = db_clock()
    turn(now)
    PlanReadiness.objects.update(verdict="NOT_READY", reasons=["Of another."], checked_at=now + timedelta(seconds=1))
    turn(now + timedelta(seconds=200))


def test_each_column_of_a_server_is_tried() -> None:
    assert set(servers(datetime.now(UTC))) == {*SERVER} - {"pk"}
