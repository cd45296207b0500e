"""Other accounts are entered by a role: with credentials of that account alone, renewed in time, and never ours."""

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from drs import account
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.roles import STILL_REFUSED, Role, session_name
from drs.surroundings import Surroundings
from drs_simulator.testing import RunningSimulator
from protection.inventory.drs_refusals import drs_trouble
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, entered_by, second_server, two_accounts

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def second(simulator: RunningSimulator) -> Iterator[RunningSimulator]:
    two_accounts(simulator)
    with entered_by(Role(SECOND, ROLE, EXTERNAL_ID)):
        yield simulator


def assumed(simulator: RunningSimulator) -> int:
    return len(simulator.journal("AssumeRole"))


def refused(call: Drs) -> DrsError:
    with pytest.raises(DrsError) as caught:
        call.source_servers()
    assert caught.value.effect is Effect.REJECTED, "certainly nothing was sent, and it is tried again"
    return caught.value


def test_each_account_is_asked_with_credentials_of_its_own(simulator: RunningSimulator) -> None:
    ours, theirs = Drs(REGION, OURS).source_servers(), Drs(REGION, SECOND).source_servers()
    assert {each.hostname for each in theirs} == {each.hostname for each in ours}
    assert not {each.source_server_id for each in theirs} & {each.source_server_id for each in ours}
    asked: Any
    [asked] = simulator.journal("AssumeRole")
    assert asked["account"] == OURS
    assert {name: asked["params"][name] for name in ("RoleArn", "ExternalId", "RoleSessionName")} == {
        "RoleArn": ROLE,
        "ExternalId": EXTERNAL_ID,
        "RoleSessionName": "drsorch-test-web",
    }
    Drs(REGION, SECOND, reading="poller").source_servers()
    Surroundings(REGION, SECOND).launch_template("lt-0123456789abcdef0")
    assert assumed(simulator) == 1, "one set of credentials a region, whatever is asked"
    identities = [each for each in simulator.journal("GetCallerIdentity") if each["account"] == SECOND]
    assert len(identities) == 1, "compared once a set of credentials"
    assert simulator.journal("DescribeLaunchTemplateVersions")[-1]["account"] == SECOND


def test_an_account_without_a_role_is_never_asked_with_anothers_credentials(simulator: RunningSimulator) -> None:
    error = refused(Drs(REGION, "999988887777"))
    assert error.trouble is Trouble.OTHER_ACCOUNT
    assert {each["account"] for each in simulator.journal("DescribeSourceServers")} <= set()


def test_a_role_that_leads_into_another_account_sends_nothing(simulator: RunningSimulator) -> None:
    third = ROLE.replace(SECOND, "777788889999")
    simulator.roles({third: {"externalId": EXTERNAL_ID}})
    with entered_by(Role(SECOND, third, EXTERNAL_ID)):
        assert refused(Drs(REGION, SECOND)).trouble is Trouble.OTHER_ACCOUNT
    assert simulator.journal("DescribeSourceServers") == []


@pytest.mark.parametrize(
    "role", [Role(SECOND, ROLE, "wrong"), Role(SECOND, f"{ROLE}-gone", EXTERNAL_ID), Role(SECOND, ROLE)]
)
def test_a_role_that_cannot_be_assumed_is_told_with_its_account_and_the_words_of_aws(
    simulator: RunningSimulator, role: Role
) -> None:
    with entered_by(role):
        error = refused(Drs(REGION, SECOND))
        with pytest.raises(DrsError) as launch:
            Drs(REGION, SECOND).start_recovery([second_server("app-01")], is_drill=True, tags={}, window=SendWindow())
    assert error.trouble is launch.value.trouble is Trouble.CREDENTIALS
    assert error.code == "AccessDenied"
    assert error.operation == "AssumeRole"
    assert f"The role {role.arn} of account {SECOND} cannot be assumed" in error.message
    assert "is not authorized to perform: sts:AssumeRole" in error.message
    assert simulator.journal("StartRecovery") == []
    assert len(Drs(REGION, OURS).source_servers()) > 0


@pytest.mark.parametrize("operation", ["AssumeRole", "GetCallerIdentity"])
def test_a_proxys_page_in_place_of_sts_sends_nothing_and_is_told(simulator: RunningSimulator, operation: str) -> None:
    simulator.scenario("proxy_page", operation=operation, times=1)
    assert "What AWS answered cannot be read" in refused(Drs(REGION, SECOND)).message
    assert simulator.journal("DescribeSourceServers") == []


def test_an_account_that_is_switched_off_is_not_even_asked(simulator: RunningSimulator) -> None:
    with entered_by(Role(SECOND, ROLE, EXTERNAL_ID, closed="The account is switched off.")):
        assert refused(Drs(REGION, SECOND)).message == "The account is switched off."
        assert not account.is_known(SECOND, REGION)
    assert assumed(simulator) == 0


@pytest.mark.parametrize("scenario", ["scp_denied", "account_suspended"])
def test_what_an_organization_denies_an_account_is_told_in_its_words_and_denies_no_other(
    simulator: RunningSimulator, scenario: str
) -> None:
    simulator.scenario(scenario, account=SECOND, operation="DescribeSourceServers")
    with pytest.raises(DrsError) as denied:
        Drs(REGION, SECOND).source_servers()
    assert denied.value.trouble is Trouble.ACCESS_DENIED
    assert "service control policy" in denied.value.message or "suspended" in denied.value.message
    assert len(Drs(REGION, OURS).source_servers()) > 0


def test_credentials_are_renewed_before_they_expire_and_never_used_after(simulator: RunningSimulator) -> None:
    simulator.scenario("short_credentials", seconds=2.0)
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        Drs(REGION, SECOND).jobs(["drsjob-30000000000000000"])
        time.sleep(0.1)
    assert 2 <= assumed(simulator) <= 6
    assert not [each for each in simulator.journal() if each["error"]]


def test_a_trust_that_is_taken_away_ends_with_the_credentials_and_not_before(simulator: RunningSimulator) -> None:
    simulator.scenario("short_credentials", seconds=1.5)
    Drs(REGION, SECOND).jobs(["drsjob-30000000000000000"])
    simulator.scenario("assume_role_denied", account=SECOND)
    time.sleep(0.7)
    Drs(REGION, SECOND).jobs(["drsjob-30000000000000000"])
    time.sleep(0.8)
    assert "cannot be assumed" in refused(Drs(REGION, SECOND)).message
    simulator.clear_scenarios("assume_role_denied")
    account._failed.clear()
    time.sleep(STILL_REFUSED)
    Drs(REGION, SECOND).jobs(["drsjob-30000000000000000"])


def test_credentials_that_have_expired_when_they_come_are_trouble_of_the_account(simulator: RunningSimulator) -> None:
    """A host that slept, or whose clock is wrong: botocore raises an error of Python's."""
    simulator.scenario("short_credentials", seconds=-5.0)
    refused(Drs(REGION, SECOND))
    assert len(Drs(REGION, OURS).source_servers()) > 0


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "ThrottlingException"])
def test_a_refusal_says_of_which_account_it_is(simulator: RunningSimulator, code: str) -> None:
    simulator.scenario("refused", code=code, message="No.", operation="DescribeSourceServers", account=SECOND)
    with pytest.raises(DrsError) as caught:
        Drs(REGION, SECOND, reading="poller").source_servers()
    told = drs_trouble(caught.value)
    assert f"{REGION} of account {SECOND}" in told.message
    assert told.details["accountId"] == SECOND


def test_a_role_that_is_made_anew_is_entered_anew(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of the old one stay refused for as long as they were good, which is most of an hour."""
    monkeypatch.setattr("drs.roles.NEW_FOR", 0.0)
    Drs(REGION, SECOND).jobs(["drsjob-30000000000000000"])
    simulator.roles({ROLE: None})
    refused(Drs(REGION, SECOND))
    assert "cannot be assumed" in refused(Drs(REGION, SECOND)).message
    simulator.roles({ROLE: {"externalId": EXTERNAL_ID}})
    time.sleep(STILL_REFUSED)
    assert len(Drs(REGION, SECOND).source_servers()) > 0


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ExpiredTokenException", "The security token included in the request is expired"),
        ("AccessDeniedException", "User is not authorized, with an explicit deny in an identity-based policy"),
    ],
)
def test_a_session_that_is_revoked_is_replaced_once_it_is_not_new(
    simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    simulator.scenario("refused", code=code, message=message, operation="DescribeSourceServers", times=2)
    for _ in range(2):
        with pytest.raises(DrsError):
            Drs(REGION, SECOND).source_servers()
        assert assumed(simulator) == 1
        monkeypatch.setattr("drs.roles.NEW_FOR", 0.0)
    assert len(Drs(REGION, SECOND).source_servers()) > 0
    assert assumed(simulator) == 2


@pytest.mark.parametrize(
    "how",
    [
        {"name": "drop_connection_before"},
        {"name": "internal_error_before"},
        {"name": "refused", "code": "InvalidClientTokenId", "message": "The security token is invalid."},
        {"name": "refused", "code": "RegionDisabledException", "message": "STS is not activated in this region."},
    ],
)
def test_where_the_sts_of_a_region_is_silent_or_closed_to_us_that_of_our_own_region_is_asked(
    simulator: RunningSimulator, how: dict[str, str]
) -> None:
    """A region that is enabled for the account alone, or STS's outage where DRS is well."""
    for operation in ("AssumeRole", "GetCallerIdentity"):
        simulator.scenario(**how, operation=operation, region="us-west-2")
    assert Drs("us-west-2", SECOND).jobs(["drsjob-30000000000000000"]) == []
    [done] = [each for each in simulator.journal("AssumeRole") if not each["error"] and each["status"] == 200]
    assert done["region"] == REGION


def test_many_threads_of_two_accounts_never_mix_their_credentials(simulator: RunningSimulator) -> None:
    """Each call names its account's server; whose credentials it carried stands in the simulator's journal."""
    simulator.scenario("short_credentials", seconds=0.5)
    servers = {OURS: Drs(REGION, OURS).source_servers()[0].source_server_id, SECOND: second_server("app-01")}

    troubles: list[Trouble] = []

    def ask(owner: str) -> None:
        for _ in range(25):
            try:
                Drs(REGION, owner, reading="poller").source_servers([servers[owner]])
            except DrsError as error:
                troubles.append(error.trouble)

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in (OURS, SECOND) * 3]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    asked: list[Any] = simulator.journal("DescribeSourceServers")
    named = [(call["account"], call["params"].get("filters")) for call in asked]  # the list of all is asked for without
    calls = [(owner, filters["sourceServerIDs"]) for owner, filters in named if filters]
    assert set(troubles) <= {Trouble.CREDENTIALS}, "what expired on its way was certainly refused"
    assert {owner for owner, _ in calls} == {OURS, SECOND}
    assert all(ids == [servers[owner]] for owner, ids in calls)


def test_a_session_name_has_the_characters_that_sts_allows() -> None:
    name = session_name("drsorch", "Zürich / main " + "x" * 80, "engine")
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", name, flags=re.ASCII)
    assert session_name("drsorch", "", "web") == "drsorch-web"
