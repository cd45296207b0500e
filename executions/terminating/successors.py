"""Whether another installation has taken over, asked of DRS right before something is sent that ends instances."""

from collections.abc import Sequence
from functools import partial

from contract.clock import Clock
from drs.client import Drs
from executions import installation
from executions.runs.aws_calls import AwsCalls


def has_successor(account: str, region: str, servers: Sequence[str], clock: Clock) -> AwsCalls[bool]:
    """By what was seen before, and by the marks of these servers. One that nobody can have taken over, because it never
    wrote a bundle, does not ask. Raises DrsError."""
    ours = installation.own()
    if ours.superseded_by or (ours.epoch == 1 and ours.bundled_at is None):
        return bool(ours.superseded_by)
    found = yield partial(Drs(region, account).source_servers, servers)
    return installation.notice(found, clock())
