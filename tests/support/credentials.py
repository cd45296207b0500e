"""The process's AWS credentials, changed as a restart with others would, or as a renewal in place does; and a second
account beside our own, which is entered by a role and has servers of the same names in us-east-1."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from drs import account, client, roles, status_checks, surroundings
from drs.roles import Role
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import SECOND_ACCOUNT, SECOND_EXTERNAL_ID, SECOND_ROLE, demo_fleet
from drs_simulator.world.fleet import DEFAULT_ACCOUNT

OTHER_KEY = "AKIAOTHEROTHEROTHER0"
OTHER_ACCOUNT = "999988887777"
OURS, SECOND, ROLE, EXTERNAL_ID = DEFAULT_ACCOUNT, SECOND_ACCOUNT, SECOND_ROLE, SECOND_EXTERNAL_ID


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


def second_server(hostname: str) -> str:
    """The id of the second account's server of that name."""
    servers = demo_fleet(2).servers
    return next(each.id for each in servers if each.account == SECOND and each.hostname == hostname)


@contextmanager
def entered_by(role: Role) -> Iterator[None]:
    """Its account is entered by this role, in this process, until the end of the block."""
    before = roles._Known.find, roles._Known.session_name, roles._Known.home
    roles.use({role.account: role}.get, session_name="drsorch-test-web", home="us-east-1")
    try:
        yield
    finally:
        roles.use(before[0], session_name=before[1], home=before[2])


def two_accounts(simulator: RunningSimulator) -> None:
    """And nobody has entered the second yet."""
    simulator.load_fleet({"demo": 2})
    for clients in (account._role_session, client._build, surroundings._build, status_checks._build):
        clients.cache_clear()
    account._failed.clear()
