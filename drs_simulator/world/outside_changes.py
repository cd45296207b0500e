"""What somebody else does to instances, jobs and accounts, beside the API that this simulator answers.

- Terminated in EC2: DRS goes on listing the instance, with `ec2InstanceState` TERMINATED. Likely. For how long, and
  what DRS says to a TerminateRecoveryInstances of it, is unknown: here it is accepted; `refuses_instance` refuses it.
- Disconnected and deleted from DRS, as at the end of a failover: DRS does not list it any more, a termination is
  refused as of one that does not exist, and it runs on in EC2. Known, but for the code of the refusal.
- Stopped in EC2, or disconnected from DRS: listed on. Known.
- Jobs deleted, or past their retention: no answer shows them. Known; of a job that runs, unknown.
- Credentials of another account, after a restart: that account's servers and jobs are shown, which are none. Known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from drs_simulator.world.errors import ApiError
from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.jobs import Place, Target, create_job, live_instance
from drs_simulator.world.scenarios import Scenario
from drs_simulator.world.state_file import Store

if TYPE_CHECKING:
    from mypy_boto3_drs.literals import InitiatedByType

NEVER = 9e15


def act(store: Store, scenario: Scenario, now: float) -> list[str]:
    """Do it; answers the ids of the instances, jobs or accounts concerned. Raises ValueError for none."""
    return ACTIONS[scenario.name](store, scenario, now)


def _servers(store: Store, scenario: Scenario) -> list[FleetServer]:
    rows = store.rows("SELECT body FROM server")
    servers = [FleetServer(**json.loads(row["body"])) for row in rows]
    return [each for each in servers if scenario.concerns_server(each) and scenario.concerns_region(each.region)]


def _to_instances(change: str) -> Callable[[Store, Scenario, float], list[str]]:
    """A change of the present instances of the scenario's servers, which names the time `:now`."""

    def act(store: Store, scenario: Scenario, now: float) -> list[str]:
        present = (live_instance(store, each.id, now) for each in _servers(store, scenario))
        found = [str(row["id"]) for row in present if row is not None]
        if not found:
            raise ValueError(f"{scenario.name} needs servers with an instance")
        for instance in found:
            values = [now] * change.count("?")
            store.run(f"UPDATE instance SET {change} WHERE id = ?", *values, instance)  # noqa: S608  # constants below
        return found

    return act


def _delete_jobs(store: Store, scenario: Scenario, now: float) -> list[str]:
    until = NEVER if scenario.options["running"] else now
    deleted = []
    for each in _servers(store, scenario):
        sql = "SELECT id FROM job JOIN job_server USING (seq) WHERE server_id = ? AND ends_at <= ? AND visible_at < ?"
        deleted += [str(row["id"]) for row in store.rows(sql, each.id, until, NEVER)]
    for job_id in set(deleted):
        store.run("UPDATE job SET visible_at = ? WHERE id = ?", NEVER, job_id)
    return sorted(set(deleted))


def _become_another(store: Store, scenario: Scenario, now: float) -> list[str]:
    account = scenario.text("account")
    store.accounts = {**store.accounts, scenario.text("access_key"): account}
    store.set_meta("accounts", json.dumps(store.accounts))
    if scenario.options["initialized"]:
        regions = {str(row["name"]) for row in store.rows("SELECT name FROM region")}
        rows = ((account, each) for each in regions if scenario.concerns_region(each))
        store.run_many("INSERT OR IGNORE INTO region (account, name) VALUES (?, ?)", rows)
    return [account]


ACTIONS: Mapping[str, Callable[[Store, Scenario, float], list[str]]] = {
    "ec2_terminated": _to_instances("ended_at = ?, end_state = 'TERMINATED'"),
    "ec2_stopped": _to_instances("ended_at = ?, end_state = 'STOPPED'"),
    "disconnected": _to_instances("disconnected = 1"),
    "left_drs": _to_instances("gone_at = ?, left_drs = 1"),
    "jobs_deleted": _delete_jobs,
    "other_account": _become_another,
}


def start_foreign_job(store: Store, region: str, options: Mapping[str, object], now: float) -> str:
    """A job of somebody else on servers given by id or hostname. Raises ValueError when it cannot start."""
    wanted = cast("list[str]", options["servers"])
    rows = store.rows("SELECT body FROM server WHERE region = ?", region)
    servers = [FleetServer(**json.loads(row["body"])) for row in rows]
    chosen = [each for each in servers if each.id in wanted or each.hostname in wanted]
    if len(chosen) != len(wanted) or not chosen:
        raise ValueError(f"foreign_job needs servers of {region} by id or hostname, and its region")
    place = Place(chosen[0].account, region)
    initiated_by: InitiatedByType = "START_DRILL" if options["initiated_by"] == "START_DRILL" else "START_RECOVERY"
    tags = cast("Mapping[str, str]", options["tags"])
    try:
        made = create_job(store, place, [Target(each) for each in chosen], initiated_by, tags, now)
    except ApiError as error:
        raise ValueError(f"{error.code}: {error.message}") from error
    return made.spec.id
