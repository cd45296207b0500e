"""Plans of thousands of servers, from the group to the clean-up: no statement outgrows what a database takes."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from contract.plurals import counted
from drs_simulator.world.fleet import generate_fleet
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from protection.inventory.source_servers import read_region
from protection.models import SourceServer
from reports.made.tasks import make
from tests.support.api_client import Api, answer
from tests.support.stage import Stage
from tests.yardstick import is_quick

pytestmark = pytest.mark.slow

REGION = "us-east-1"
MOST_SECONDS = 4.0  # of a processor, for the start of 4,000 servers on a busy machine; alone it is under one


def fleet(stage: Stage, servers: int) -> list[str]:
    """A region with so many servers, read into the inventory; their ids."""
    stage.simulator.load_fleet(generate_fleet(servers, REGION))
    read_region(REGION)
    return list(SourceServer.objects.order_by("hostname").values_list("pk", flat=True))


def group(api: Api, name: str, servers: Sequence[str]) -> str:
    made = api.post("/protection-groups", {"groupName": name, "region": REGION, "sourceServerIds": servers})
    return str(answer(made, 201)["groupId"])


def plan(api: Api, *waves: Sequence[str]) -> dict[str, Any]:
    """A plan with a wave, and a group, for each of these."""
    shown = [
        {"protectionGroupIds": [group(api, f"Group {number}", servers)], "serverIds": servers}
        for number, servers in enumerate(waves)
    ]
    found: dict[str, Any] = answer(api.post("/recovery-plans", {"planName": "Everything", "waves": shown}), 201)
    return found


def start(api: Api, plan: dict[str, Any], **options: object) -> Execution:
    asked = {"planId": plan["planId"], "executionType": "DRILL", **options}
    return Execution.objects.get(pk=answer(api.post("/executions", asked), 202)["executionId"])


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def check_pages(api: Api, *paths: str) -> None:
    api.client.force_login(api.user)
    for path in paths:
        assert api.client.get(path).status_code == 200, path


def check_changes(api: Api, made: dict[str, Any], ids: list[str]) -> None:
    """A plan and a group of thousands are changed as any other, in the API and in the console's editors."""
    path, first = f"/recovery-plans/{made['planId']}", made["waves"][0]["protectionGroupIds"][0]
    answer(api.put(f"/protection-groups/{first}", {"sourceServerIds": made["waves"][0]["serverIds"][::-1]}))
    waves = answer(api.get(path))["waves"]
    waves[0]["serverIds"] = waves[0]["serverIds"][::-1]
    changed = answer(api.put(path, {"description": "x", "waves": waves}))
    assert sum(len(wave["serverIds"]) for wave in changed["waves"]) == len(ids)
    check_pages(api, "/recovery-plans", path, f"{path}/edit", f"{path}/start-drill")
    check_pages(api, "/protection-groups", f"/protection-groups/{first}", f"/protection-groups/{first}/edit")
    assert answer(api.get(f"{path}/readiness"))["verdict"]


@pytest.mark.both  # how much a statement may hold
@pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_plan_of_four_thousand_servers_is_started_and_tried_again(
    stage: Stage, admin: Api, *, thorough: bool
) -> None:
    """Thorough, it is changed, shown and proven, too."""
    stage.packs.touched = not thorough
    ids = fleet(stage, 4_000)
    made = plan(admin, ids[:1_900], ids[1_900:2_900], ids[2_900:])
    if thorough:
        check_changes(admin, made, ids)
    dry = start(admin, made, dryRun=True)
    stage.sweep.once()
    looked_at = ServerRun.objects.filter(wave__execution=dry, phase="DONE")
    while not looked_at.exists():
        assert stage.sweep.is_busy
        stage.sweep.collect()
    answer(admin.post(f"/executions/{dry.pk}/cancel"))
    stage.simulator.scenario("access_denied", operation="StartRecovery")
    spent = seconds(lambda: start(admin, made))
    assert is_quick(spent, MOST_SECONDS), f"{spent:.2f} s"
    run = Execution.objects.get(dry_run=False)
    assert (ServerHold.objects.count(), run.waves.count()) == (4_000, 3)
    asked = {"planId": made["planId"], "executionType": "DRILL"}
    assert admin.post("/executions", asked).json()["error"] == "PLAN_ALREADY_EXECUTING"
    stage.until(run, "FAILED", step=5)
    if thorough:
        make(str(run.pk))  # as an engine does
        answer(admin.get(f"/executions/{run.pk}/report"))
        check_pages(admin, "/", f"/executions/{run.pk}", f"/executions/{run.pk}/retry")
    again = answer(admin.post(f"/executions/{run.pk}/retry", {}), 202)["executionId"]
    assert ServerRun.objects.filter(wave__execution=again).count() == 4_000
    assert answer(admin.get(f"/executions/{again}"))["status"] == "PENDING"
    answer(admin.post(f"/executions/{again}/cancel"))
    stage.look()
    assert ServerHold.objects.count() == 0
    assert answer(admin.delete("/executions"))["deletedCount"] == 3


@pytest.mark.parametrize("servers", [250, pytest.param(1_000, marks=pytest.mark.long)])
def test_a_wave_of_many_servers_is_launched_proven_and_ended(stage: Stage, admin: Api, servers: int) -> None:
    ids = fleet(stage, servers)
    stage.simulator.scenario("launch_failed", servers=ids[:3], region=REGION, times=3)
    run = start(admin, plan(admin, ids))
    stage.until(run, "PARTIAL", step=300, limit=20_000)
    assert ServerRun.objects.filter(launch_status="LAUNCHED").count() == servers - 3
    check_pages(admin, f"/executions/{run.pk}", f"/executions/{run.pk}/job-logs")
    make(str(run.pk))  # as an engine does
    assert len(answer(admin.get(f"/executions/{run.pk}/report"))["waves"][0]["servers"]) == servers
    assert admin.post(f"/executions/{run.pk}/evidence", {}).status_code == 200
    stage.wait(lambda: not LaunchJob.objects.filter(watched=True).exists(), run)
    again = answer(admin.post(f"/executions/{run.pk}/retry", {}), 202)["executionId"]
    stage.until(Execution.objects.get(pk=again), "COMPLETED", limit=20_000)
    end(stage, admin, run)


def end(stage: Stage, api: Api, run: Execution) -> None:
    """Asked for once, although DRS takes 20 jobs and 500 servers at a time: the rest waits for room."""
    answer(api.post(f"/executions/{run.pk}/terminate-instances", {}))
    stage.wait(lambda: stage.fresh(run).termination_status != "IN_PROGRESS", run, step=60, limit=20_000)
    left = ServerRun.objects.filter(wave__execution=run, launch_status="LAUNCHED").count()
    assert stage.fresh(run).termination_status == "COMPLETED", f"{counted(left, 'instance')} left"
