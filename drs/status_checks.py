"""EC2's two status checks of instances: whether one that was launched really came up.

Known: at most 100 ids a call, and one that EC2 does not know fails the whole call, which names it. Likely: an instance
that was just launched is not known for a moment.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from drs import account as identity
from drs.classify_errors import FAILED_CALL, classify
from drs.errors import DrsError, Trouble
from drs.roles import Role

IDS_A_CALL = 100
OPERATION = "DescribeInstanceStatus"
_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1, "mode": "standard"})
_INSTANCE = re.compile(r"\bi-\w+\b")
_UNKNOWN = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")
# Of a running instance; insufficient-data is no answer.
_WORDS: Mapping[str, str] = {"ok": "OK", "impaired": "IMPAIRED", "initializing": "PENDING"}


@dataclass(frozen=True)
class StatusChecks:
    """PENDING, OK or IMPAIRED; empty where EC2 does not say; UNKNOWN where it refuses to."""

    system: str = ""
    instance: str = ""

    @property
    def passed(self) -> bool:
        return self.system == self.instance == "OK"

    @property
    def failed(self) -> bool:
        """Whether EC2 says that one fails: what it does not tell, or begins anew with, speaks against nothing."""
        return "IMPAIRED" in (self.system, self.instance)

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> "StatusChecks":
        """Of one item: EC2's model requires none of its members."""
        if item.get("InstanceState", {}).get("Name") == "pending":
            return cls("PENDING", "PENDING")
        system, instance = (item.get(name, {}).get("Status", "") for name in ("SystemStatus", "InstanceStatus"))
        return cls(_WORDS.get(system, ""), _WORDS.get(instance, ""))


REFUSED = StatusChecks("UNKNOWN", "UNKNOWN")


def status_checks(
    region: str, account: str, instance_ids: Sequence[str], *, simulated: bool = False
) -> dict[str, StatusChecks]:
    """The checks of those of these instances that EC2 knows. Raises DrsError and nothing else for a call that failed.

    With `simulated`, DRS is a simulated one, and nothing is asked of the real EC2 beside it.
    """
    client = _client_for(region, account, simulated=simulated)
    found: dict[str, StatusChecks] = {}
    for at in range(0, len(instance_ids), IDS_A_CALL):
        found |= _of_known(client, region, instance_ids[at : at + IDS_A_CALL])
    return found


def check_right(region: str, account: str, *, simulated: bool = False) -> None:
    """Raises DrsError unless the checks may be read."""
    client = _client_for(region, account, simulated=simulated)
    try:
        client.describe_instance_status(MaxResults=5)
    except FAILED_CALL as error:
        raise classify(error, region=region, operation=OPERATION) from error


def _client_for(region: str, account: str, *, simulated: bool) -> Any:
    identity.check(region, account)
    role = identity.open_role(region, account)
    with identity.making:
        client = _build(region, role, os.getpid())
    if simulated and ".amazonaws." in client.meta.endpoint_url:
        text = "DRS is simulated here; EC2 of the real AWS is not asked."
        raise DrsError(Trouble.NOT_SENT, code="Simulated", message=text, region=region, operation=OPERATION)
    return client


@cache
def _build(region: str, role: Role | None, pid: int) -> Any:
    return identity.make_client("ec2", region, _CONFIG, role, pid)


def _of_known(client: Any, region: str, instance_ids: Sequence[str]) -> dict[str, StatusChecks]:
    """Without those that EC2 says it does not know."""
    wanted = list(instance_ids)
    while wanted:
        try:
            told = client.describe_instance_status(InstanceIds=wanted, IncludeAllInstances=True)["InstanceStatuses"]
            return {each["InstanceId"]: StatusChecks.read(each) for each in told if "InstanceId" in each}
        except ClientError as error:
            unknown = set(_INSTANCE.findall(error.response["Error"].get("Message", ""))).intersection(wanted)
            if error.response["Error"].get("Code") not in _UNKNOWN or not unknown:
                raise classify(error, region=region, operation=OPERATION) from error
            wanted = [each for each in wanted if each not in unknown]
        except FAILED_CALL as error:
            raise classify(error, region=region, operation=OPERATION) from error
    return {}
