"""What somebody else does to instances, beside the API that this simulator answers.

- Terminated in EC2: DRS goes on listing the instance, with `ec2InstanceState` TERMINATED. Likely. For how long, and
  what DRS says to a TerminateRecoveryInstances of it, is unknown: here it is accepted; `refuses_instance` refuses it.
- Disconnected and deleted from DRS, as at the end of a failover: DRS does not list it any more, a termination is
  refused as of one that does not exist, and it runs on in EC2. Known, but for the code of the refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.jobs import live_instance
from drs_simulator.world.scenarios import Scenario
from drs_simulator.world.state_file import Store


def act(store: Store, scenario: Scenario, now: float) -> list[str]:
    """Do it to the present instances of the scenario's servers; answers their ids. Raises ValueError for none."""
    rows = store.rows("SELECT body FROM server")
    servers = [FleetServer(**json.loads(row["body"])) for row in rows]
    concerned = [each for each in servers if scenario.concerns_server(each) and scenario.concerns_region(each.region)]
    found = [row["id"] for each in concerned if (row := live_instance(store, each.id, now)) is not None]
    if not found:
        raise ValueError(f"{scenario.name} needs servers with an instance")
    for instance in found:
        ACTIONS[scenario.name](store, instance, now)
    return found


def _terminate_in_ec2(store: Store, instance: str, now: float) -> None:
    store.run("UPDATE instance SET ended_at = ? WHERE id = ?", now, instance)


def _leave(store: Store, instance: str, now: float) -> None:
    store.run("UPDATE instance SET gone_at = ?, left_drs = 1 WHERE id = ?", now, instance)


ACTIONS: Mapping[str, Callable[[Store, str, float], None]] = {
    "ec2_terminated": _terminate_in_ec2,
    "left_drs": _leave,
}
