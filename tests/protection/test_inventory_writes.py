"""Of what DRS says anew nothing is written that was known: four thousand servers a minute cost next to nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contract.clock import db_clock
from drs.shapes import RecoveryInstance as DrsInstance
from drs.shapes import SourceServer as DrsServer
from protection.inventory import recovery_instances, source_servers
from protection.models import RecoveryInstance, SourceServer

pytestmark = [pytest.mark.both, pytest.mark.django_db]
REGION, ACCOUNT = "us-east-1", "111122223333"


def a_server(number: int) -> DrsServer:
    return DrsServer(
        f"s-{number:017d}", f"host-{number}", "", {"Name": f"Host {number}", "Tier": "web"}, "CONTINUOUS", "PT0S",
        "NOT_STARTED", "",
    )  # fmt: skip


def an_instance(number: int) -> DrsInstance:
    return DrsInstance(f"i-{number:017d}", f"s-{number:017d}", "RUNNING", "drsjob-1", True, None)


@pytest.fixture
def servers() -> list[DrsServer]:
    """Known already, and the hour in which nothing is written for safety's sake has begun."""
    source_servers._written_until.clear()
    made = [a_server(number) for number in range(600)]
    keep(made)
    return made


def keep(servers: Sequence[DrsServer]) -> list[str]:
    """One reading of the region; answers the statements that wrote servers."""
    with CaptureQueriesContext(connection) as queries:
        source_servers.store(REGION, ACCOUNT, servers, whole_region=True)
    told = [each["sql"] for each in queries if "protection_sourceserver" in each["sql"]]
    return [sql for sql in told if not sql.startswith("SELECT")]


def test_what_is_known_is_not_written_again(servers: list[DrsServer]) -> None:
    before = db_clock()
    turned = [replace(each, tags=dict(reversed(list(each.tags.items())))) for each in reversed(servers)]
    (seen,) = keep(turned)
    assert seen.startswith("UPDATE")
    assert not SourceServer.objects.filter(seen_at__lt=before).exists()


def test_what_changed_came_or_went_is_written(servers: list[DrsServer]) -> None:
    changed = replace(servers[0], replication_state="STALLED")
    written = keep([changed, a_server(600), *servers[2:]])
    (update,) = (sql for sql in written if " times: " in sql)
    assert update.startswith('1 times: UPDATE "protection_sourceserver"')
    (insert,) = (sql for sql in written if sql.startswith("INSERT"))
    assert "s-00000000000000600" in insert
    assert servers[0].source_server_id not in insert
    states = dict(SourceServer.objects.values_list("pk", "replication_state"))
    assert (states[servers[0].source_server_id], states[servers[2].source_server_id]) == ("STALLED", "CONTINUOUS")
    (gone,) = SourceServer.objects.exclude(gone_at=None)
    assert gone.pk == servers[1].source_server_id
    keep(servers)
    assert SourceServer.objects.present().count() == 600
    assert SourceServer.objects.get(pk=servers[0].source_server_id).replication_state == "CONTINUOUS"


def test_what_a_release_without_digests_wrote_beside_it_does_not_stay(servers: list[DrsServer]) -> None:
    SourceServer.objects.filter(pk=servers[0].source_server_id).update(replication_state="STALLED")
    source_servers._written_until[ACCOUNT, REGION] = 0.0  # an hour later, or a process of this release begins
    keep(servers)
    assert SourceServer.objects.get(pk=servers[0].source_server_id).replication_state == "CONTINUOUS"


def test_another_account_or_one_check_is_written(servers: list[DrsServer]) -> None:
    source_servers.store(REGION, ACCOUNT, [replace(servers[0], hostname="renamed")], whole_region=False)
    assert SourceServer.objects.get(pk=servers[0].source_server_id).hostname == "renamed"
    assert SourceServer.objects.present().count() == 600
    SourceServer.objects.update(account_id="")  # of a release that kept no account
    keep(servers)
    assert not SourceServer.objects.filter(account_id="").exists()


def test_instances_that_are_as_they_were_are_not_written_again(db: None) -> None:
    def listed(instances: Sequence[DrsInstance]) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            recovery_instances.keep(recovery_instances.Reading(REGION, ACCOUNT, instances))
        told = [each["sql"] for each in queries if "protection_recoveryinstance" in each["sql"]]
        return [sql.split()[0] for sql in told if not sql.startswith("SELECT")]

    known = [an_instance(number) for number in range(600)]
    listed(known)
    RecoveryInstance.objects.update(initiated_by="START_DRILL", seen_at=db_clock() - timedelta(minutes=1))
    assert listed(known) == ["UPDATE"]
    assert listed([replace(known[0], ec2_state="STOPPED"), *known[2:]]) == ["INSERT", "DELETE", "UPDATE"]
    stopped = RecoveryInstance.objects.get(pk=known[0].recovery_instance_id)
    assert (stopped.ec2_state, stopped.initiated_by) == ("STOPPED", "START_DRILL")
    assert RecoveryInstance.objects.count() == 599
    assert not RecoveryInstance.objects.filter(seen_at__lt=stopped.seen_at).exists()
