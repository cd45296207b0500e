"""The process's AWS credentials, changed as a restart with others would, or as a renewal in place does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from drs import account, client
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_fleet

OTHER_KEY = "AKIAOTHEROTHEROTHER0"
OTHER_ACCOUNT = "999988887777"


def know_two_accounts(simulator: RunningSimulator) -> None:
    """The demo fleet; the other key's account has none of its servers, and DRS is set up there in the same regions."""
    simulator.load_fleet({**demo_fleet().as_json(), "accounts": {OTHER_KEY: OTHER_ACCOUNT}})


@contextmanager
def restarted_as(access_key: str) -> Iterator[None]:
    """What a process does whose environment names another key, until the end of the block."""
    before = os.environ["AWS_ACCESS_KEY_ID"]
    _restart(access_key)
    try:
        yield
    finally:
        _restart(before)


def _restart(access_key: str) -> None:
    os.environ["AWS_ACCESS_KEY_ID"] = access_key
    account.session.cache_clear()
    client._build.cache_clear()
