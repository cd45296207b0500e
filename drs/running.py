"""What runs in an account's region, and how many vCPUs that takes: asked by engines alone, whose policy allows it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drs.surroundings import Surroundings

_TYPES_A_CALL = 100
_INSTANCES_A_PAGE = 1000
# Instances that no On-Demand quota counts; those on hosts of the account's own neither.
_NOT_ON_DEMAND = frozenset({"spot", "scheduled", "capacity-block"})


@dataclass(frozen=True)
class Running(Surroundings):
    """EC2 in one region. Every method raises DrsError and nothing else for a call that failed."""

    def vcpus_of(self, instance_types: Sequence[str]) -> dict[str, int]:
        """The vCPUs of those of these types that exist in the region."""

        def ask() -> dict[str, int]:
            chunks = [instance_types[at : at + _TYPES_A_CALL] for at in range(0, len(instance_types), _TYPES_A_CALL)]
            pages = self._client("ec2").get_paginator("describe_instance_types")
            return {
                each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"])
                for chunk in chunks
                for page in pages.paginate(Filters=[{"Name": "instance-type", "Values": list(chunk)}])
                for each in page["InstanceTypes"]
            }

        return self._ask("DescribeInstanceTypes", ask)

    def running_types(self) -> Counter[str]:
        """How many On-Demand instances of each type run in the region, whoever's they are in the account."""

        def ask() -> Counter[str]:
            pages = self._client("ec2").get_paginator("describe_instances")
            asked = pages.paginate(
                Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
                PaginationConfig={"PageSize": _INSTANCES_A_PAGE},
            )
            found = (each for page in asked for made in page["Reservations"] for each in made["Instances"])
            return Counter(each["InstanceType"] for each in found if _is_on_demand(each))

        return self._ask("DescribeInstances", ask)


def _is_on_demand(instance: Mapping[str, Any]) -> bool:
    own_host = instance.get("Placement", {}).get("Tenancy") == "host"
    return instance.get("InstanceLifecycle", "") not in _NOT_ON_DEMAND and not own_host
