"""What people do with four thousand servers, through the services that they do it by: nothing outgrows a statement."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from drs_simulator.world.fleet import generate_fleet
from executions.models import ServerRun, TerminationJob
from plans.models import WaveServer
from tests.console import world
from tests.console.test_big_drafts import large_plan
from tests.reports.test_large_reports import ended_run
from tests.support.api_client import Api, answer
from tests.support.stage import Stage
from tests.yardstick import is_quick

pytestmark = [pytest.mark.both, pytest.mark.slow]

MOST_SECONDS = 4.0  # of a processor, on a busy machine


def quickly(work: Callable[[], Any]) -> Any:
    began = time.thread_time()
    found = work()
    spent = time.thread_time() - began
    assert is_quick(spent, MOST_SECONDS, time.thread_time), f"{spent:.2f} s"
    return found


def test_a_plan_is_judged_and_changed(admin: Api) -> None:
    world.region()
    plan = large_plan()
    path = f"/recovery-plans/{plan.pk}"
    assert answer(quickly(lambda: admin.get(f"{path}/readiness")))["verdict"]
    waves = answer(admin.get(path))["waves"]
    waves[0]["serverIds"] = waves[0]["serverIds"][::-1]
    changed = answer(quickly(lambda: admin.put(path, {"description": "x", "waves": waves})))
    assert changed["waves"][0]["serverIds"] == waves[0]["serverIds"]
    assert WaveServer.objects.filter(plan=plan).count() == 4_000


def launched(stage: Stage, count: int) -> list[tuple[str, str]]:
    """Servers that DRS has launched, with the ids of their instances; 400 at a time, as it takes 500."""
    stage.simulator.load_fleet(generate_fleet(count, "us-east-1"))
    client = stage.simulator.client("us-east-1")
    pages = client.get_paginator("describe_source_servers").paginate(filters={})
    ids = [each["sourceServerID"] for page in pages for each in page["items"]]
    for first in range(0, count, 400):
        for at in range(first, min(first + 400, count), 100):
            client.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": each} for each in ids[at : at + 100]])
        stage.simulator.advance(4 * 3600)
    up = client.get_paginator("describe_recovery_instances").paginate(filters={})
    return [(each["sourceServerID"], each["recoveryInstanceID"]) for page in up for each in page["items"]]


@pytest.mark.parametrize("servers", [400, pytest.param(4_000, marks=pytest.mark.long)])
def test_a_run_is_cleaned_up(stage: Stage, admin: Api, servers: int) -> None:
    stage.packs.touched = True
    run = ended_run(servers)
    rows = list(ServerRun.objects.filter(wave__execution=run))
    for row, (source, instance) in zip(rows, launched(stage, servers), strict=True):
        row.source_server_id, row.recovery_instance_id = source, instance
    ServerRun.objects.bulk_update(rows, ["source_server_id", "recovery_instance_id"], batch_size=1_000)
    told = answer(quickly(lambda: admin.post(f"/executions/{run.pk}/terminate-instances", {})))
    assert (len(told["terminated"]), len(told["failed"])) == (servers, 0)
    asked = [each for ids in TerminationJob.objects.values_list("instance_ids", flat=True) for each in ids]
    assert (len(asked), len(set(asked))) == (servers, servers)
    sent = stage.simulator.journal("TerminateRecoveryInstances")  # DRS takes 500 at once; the rest waits for room
    assert len(sent) == min(servers // 100, 6)
