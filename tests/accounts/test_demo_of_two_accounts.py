"""DEMO_ACCOUNTS=2 script/server: a second account with servers of the same names, and a wave over both."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings

from accounts.models import Account
from drs_simulator.testing import RunningSimulator
from plans.models import RecoveryPlan
from protection.models import SourceServer
from tests.support.credentials import OURS, SECOND, two_accounts


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """The command quiets the journal's lines, for its whole process."""
    before = logging.getLogger("audit").level
    yield
    logging.getLogger("audit").setLevel(before)


@pytest.mark.django_db
def test_it_has_a_wave_over_both_accounts_and_is_made_once(simulator: RunningSimulator, tmp_path: Path) -> None:
    two_accounts(simulator)
    with override_settings(STATIC_ROOT=tmp_path):
        for _ in range(2):
            call_command("demo", accounts=2)
    assert list(Account.objects.values_list("pk", flat=True)) == [SECOND]
    wave = RecoveryPlan.objects.get(name="Payments, both accounts").waves.get()
    ids = wave.servers.values_list("assignment__source_server_id", flat=True)
    placed = SourceServer.objects.filter(pk__in=list(ids)).order_by("hostname", "account_id")
    assert list(placed.values_list("hostname", "account_id")) == [
        ("web-01", OURS),
        ("web-01", SECOND),
        ("web-02", OURS),
        ("web-02", SECOND),
    ]
