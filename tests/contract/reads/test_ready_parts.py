"""What is kept from one answer to the next is never older than what the database has."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from bench.compare import live_run
from bench.seed import groups_of, history, plans_of, server_id
from contract.rest.answers.ready import MARK, KeptParts, Ready, encoded
from executions.models import Execution, LaunchJob, ServerRun
from plans.models import RecoveryPlan
from protection.models import GroupLabel, ProtectionGroup, ServerAssignment, SourceServer
from tests.support.api_client import Api, answer

FIRST = server_id(0, 0)


def test_a_part_stands_where_it_belongs_as_it_is() -> None:
    part = {"text": 'of "quotes", \\ and \u2028', "none": None}
    whole = {"one": Ready(encoded(part)), "list": [1, Ready(encoded([part])), "two"], "last": Ready("[]")}
    assert json.loads(encoded(whole)) == {"one": part, "list": [1, [part], "two"], "last": []}
    assert json.loads(encoded({"text": MARK})) == {"text": MARK}
    with pytest.raises(ValueError, match="mark"):
        encoded({"text": MARK, "part": Ready("1")})


def test_parts_are_forgotten_when_they_are_too_many() -> None:
    kept = KeptParts(most=100)
    made: list[int] = []

    def make(key: int) -> str:
        made.append(key)
        return "x" * 20

    for key in [*range(20), 19]:
        kept.part(key, key, partial(make, key))
    assert made == list(range(20))
    assert kept.characters <= 100


CHANGES: list[Callable[[], object]] = [
    lambda: SourceServer.objects.filter(pk=FIRST).update(replication_state="STALLED"),
    lambda: SourceServer.objects.filter(pk=FIRST).update(seen_at=F("seen_at") - timedelta(hours=1)),
    lambda: SourceServer.objects.filter(pk=FIRST).update(replication_error="AGENT_NOT_SEEN"),
    lambda: SourceServer.objects.filter(pk=FIRST).update(gone_at=timezone.now()),
    lambda: SourceServer.objects.filter(pk=FIRST).delete(),
    lambda: ServerAssignment.objects.filter(source_server_id=server_id(0, 1)).update(position=7),
    lambda: ServerAssignment.objects.filter(source_server_id=server_id(0, 2)).delete(),
    lambda: GroupLabel.objects.create(group=ProtectionGroup.objects.earliest("name_key"), key="app", value="x"),
    lambda: ProtectionGroup.objects.update(name="Renamed"),
    lambda: ProtectionGroup.objects.update(version=9),
]


@pytest.mark.django_db
@pytest.mark.both
def test_a_list_of_groups_is_what_each_of_them_is(admin: Api) -> None:
    """Each alone is made of nothing that was kept."""
    keys = sorted(map(str, groups_of(1, 4)))
    before: Any = None
    for change in (lambda: None, *CHANGES):
        change()
        each = [answer(admin.get(f"/protection-groups/{key}")) for key in keys]
        warnings = [warning for one in each for warning in one.pop("warnings", [])]
        told = answer(admin.get("/protection-groups"))
        assert told == {"groups": each, "count": 1} | ({"warnings": warnings} if warnings else {})
        assert told != before
        before = told


@pytest.mark.django_db
@pytest.mark.both
def test_a_run_is_what_its_servers_are(admin: Api) -> None:
    run = live_run(waves=2, servers=2)
    path = f"/executions/{run.pk}"
    first = answer(admin.get(path))
    servers, jobs = ServerRun.objects.filter(wave__execution=run), LaunchJob.objects.filter(wave__execution=run)
    servers.filter(hostname="app-1-0").update(launch_status="FAILED", error="No.")
    Execution.objects.filter(pk=run.pk).update(revision=F("revision") + 1)
    second = answer(admin.get(path))
    failed = second["waves"][1]["serverStatuses"][0]
    assert (failed["error"], failed["errorCode"]) == ("No.", "SERVER_LAUNCH_FAILED")
    assert second["waves"][0] == first["waves"][0] | {"duration": second["waves"][0]["duration"]}
    jobs.update(error_code="REFUSED")
    Execution.objects.filter(pk=run.pk).update(revision=F("revision") + 1)
    assert answer(admin.get(path))["waves"][1]["serverStatuses"][0]["errorCode"] == "REFUSED"


@pytest.mark.django_db
@pytest.mark.both
def test_a_list_of_runs_is_what_each_of_them_is(admin: Api, sign_in: Callable[..., Api]) -> None:
    """What changes of a run that is over: with its revision, with its plan, and with other runs; and who asks."""
    history(4, plans_of(2, groups_of(2, 2), 2))
    completed, short, *_ = Execution.objects.order_by("-status", "started_at")
    assert short.state.fell_short
    rival = {"plan_name": "Plan", "kind": "DRILL", "total_waves": 1, "next_step_at": timezone.now()}
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: Execution.objects.filter(pk=completed.pk).update(number=7),
        lambda: Execution.objects.create(plan_id=short.plan_id, started_by="rival", **rival),
        lambda: LaunchJob.objects.filter(wave__execution=short).update(status="STARTED"),
        lambda: Execution.objects.filter(pk=completed.pk).update(retry_of=short, first_attempt_id=short.pk, attempt=2),
        lambda: Execution.objects.filter(pk=short.pk).update(termination_status="PARTIAL", revision=F("revision") + 1),
        lambda: RecoveryPlan.objects.filter(executions=completed).delete(),
        lambda: Execution.objects.filter(pk=completed.pk).update(retry_of=None),
    ]
    viewer = sign_in("viewer")
    before: Any = None
    told: Any = None
    for change in changes:
        change()
        for who in (viewer, admin):
            told = answer(who.get("/executions"))["items"]
            each = [answer(who.get(f"/executions/{item['executionId']}")) for item in told]
            assert [item | {"duration": 0} for item in told] == [
                {name: one[name] for name in item} | {"duration": 0} for item, one in zip(told, each, strict=True)
            ]
        assert told != before
        before = told
