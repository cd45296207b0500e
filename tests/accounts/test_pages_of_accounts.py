"""Pages and lists tell accounts apart where there are several, at no more cost, and say nothing of them where not."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import registry
from accounts.models import Account
from contract.clock import db_clock
from doctor.checks import Asked, findings
from doctor.findings import Level
from drs_simulator.testing import RunningSimulator
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, RegionInventory, SourceServer
from tests.support.api_client import Api, answer, make_user, sign_in
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, second_server, two_accounts

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1")
PAGES = ("/protection-groups", "/source-servers", "/recovery-plans", "/recovery-instances", "/settings", "/")


@pytest.fixture
def console(db: None) -> Client:
    return sign_in(Client(), make_user("admin"))


def add_second() -> None:
    Account.objects.create(
        account_id=SECOND, name="Branch offices", name_key="branch offices", role_arn=ROLE, external_id=EXTERNAL_ID,
        regions=["us-east-1"],
    )  # fmt: skip
    registry.forget()


def test_with_one_account_nothing_is_said_of_accounts(simulator: RunningSimulator, console: Client) -> None:
    read_region("us-east-1")
    for page in ("/protection-groups", "/source-servers", "/search?q=app-01"):
        text = console.get(page).content.decode()
        assert "AWS account" not in text
        assert OURS not in text
    assert "AWS account" not in console.get("/protection-groups/new").content.decode()


def test_two_accounts_are_told_apart(simulator: RunningSimulator, console: Client, sign_in: Callable[..., Api]) -> None:
    two_accounts(simulator)
    add_second()
    planner = sign_in("planner")
    assert "Branch offices (444455556666)" in console.get("/protection-groups/new").content.decode()
    picker = console.get(f"/protection-groups/new?region=us-east-1&account={SECOND}").content.decode()
    assert second_server("app-01") in picker
    body = {"groupName": "Branches", "region": "us-east-1", "sourceServerIds": [second_server("app-01")]}
    made = answer(planner.post("/protection-groups", body | {"accountId": SECOND}), 201)
    assert made["accountId"] == SECOND
    found = answer(planner.get(f"/drs/source-servers?region=us-east-1&accountId={SECOND}"))
    assert (found["accountId"], found["assignedCount"]) == (SECOND, 1)
    assert "us-east-1 of Branch offices" in console.get("/search?q=app-01").content.decode()
    ours = answer(planner.get("/drs/source-servers?region=us-east-1"))
    assert second_server("app-01") not in {each["sourceServerID"] for each in ours["servers"]}
    path = f"/protection-groups/{made['groupId']}"
    moved = answer(planner.put(path, {"accountId": OURS}), 400)
    assert moved["error"] == "ACCOUNT_IMMUTABLE"
    assert answer(planner.put(path, {"accountId": SECOND, "description": "as before"}))["accountId"] == SECOND
    assert answer(planner.get(f"/protection-groups?accountId={OURS}"))["count"] == 0
    assert "Branch offices" in console.get("/protection-groups").content.decode()
    servers = console.get(f"/source-servers?account={SECOND}").content.decode()
    assert second_server("app-01") in servers
    assert ours["servers"][0]["sourceServerID"] not in servers
    assert "Branch offices" in console.get("/").content.decode(), "the dashboard's table is by account and region"


def test_twenty_accounts_cost_pages_no_more_questions(console: Client, db: None) -> None:
    """20 accounts in 4 regions: as many statements as with one, and none to AWS."""
    fill(1)
    few = {page: questions(console, page) for page in PAGES}
    fill(20)
    many = {page: questions(console, page) for page in PAGES}
    assert all(many[page] <= few[page] for page in PAGES), (many, few)


def fill(accounts: int) -> None:
    now = db_clock()
    for model in (SourceServer, RegionInventory, Account, ProtectionGroup):
        model._default_manager.all().delete()
    ids = [f"{number:012d}" for number in range(1, accounts + 1)]
    Account.objects.bulk_create(
        Account(account_id=each, name=each, name_key=each, role_arn=ROLE.replace(SECOND, each), regions=list(REGIONS))
        for each in ids
    )
    places = [(each, region) for each in ids for region in REGIONS]
    RegionInventory.objects.bulk_create(
        RegionInventory(way=each, account_id=each, region=region, tried_at=now, as_of=now) for each, region in places
    )
    SourceServer.objects.bulk_create(
        SourceServer(
            source_server_id=f"s-{number:017d}", account_id=each, region=region, name=f"app-{number}", seen_at=now,
            replication_state="CONTINUOUS",
        )
        for number, (each, region) in enumerate(places * 10)
    )  # fmt: skip
    ProtectionGroup.objects.bulk_create(
        ProtectionGroup(name=f"G {at}", name_key=f"g {at}", region=region, account_id=each, owner="test")
        for at, (each, region) in enumerate(places[:4])
    )
    registry.forget()
    registry.known()


def questions(console: Client, page: str) -> int:
    """Statements of a page that was just shown; the fewest, because what is remembered for seconds may have run out."""
    spent = []
    for _ in range(4):
        with CaptureQueriesContext(connection) as asked:
            assert console.get(page).status_code == 200
        spent.append(len(asked))
    return min(spent)


def test_doctor_looks_at_an_account_by_its_role(simulator: RunningSimulator, db: None) -> None:
    two_accounts(simulator)
    add_second()
    found = [each for each in findings(Asked.read(account=SECOND)) if "Branch offices" in each.subject]
    assert ("credentials", Level.OK, "us-east-1 of Branch offices") in {(f.check, f.level, f.subject) for f in found}
    assert any("IAM knows nothing against" in each.message and ROLE in each.message for each in found)
    assert {each["account"] for each in simulator.journal("SimulatePrincipalPolicy")} == {SECOND}
    simulator.scenario("assume_role_denied", account=SECOND)
    two_accounts(simulator)
    [failed] = [each for each in findings(Asked.read(account=SECOND)) if "Branch offices" in each.subject]
    assert (failed.level, failed.check) == (Level.FAILED, "credentials")
    assert ROLE in failed.message
