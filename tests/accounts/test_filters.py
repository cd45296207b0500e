"""Lists by account: the same filter above each, kept in every address of the list, and told where it can't be used."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from accounts import registry
from accounts.models import Account
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup, RecoveryInstance, RegionInventory, SourceServer
from tests.console import world
from tests.console.polls.test_plan_list import asked
from tests.console.polls.test_rows import end
from tests.console.test_pages import HX, words
from tests.support.api_client import Api, answer, make_user, refusal, sign_in
from tests.support.credentials import ROLE, SECOND

pytestmark = pytest.mark.both
PAGES = ("/recovery-plans", "/protection-groups", "/source-servers", "/executions", "/recovery-instances")
NOBODYS = "999900001111"
WRONG = "An AWS account is its twelve digits"


@pytest.fixture
def console(db: None) -> Client:
    return sign_in(Client(), make_user("admin"))


@pytest.fixture
def two(db: None) -> tuple[RecoveryPlan, RecoveryPlan]:
    """A plan of each account, with its groups, servers and an instance."""
    Account.objects.create(
        account_id=SECOND, name="Branch offices", name_key="branch offices", role_arn=ROLE, regions=["us-east-1"]
    )
    registry.forget()
    ours, theirs = world.plan("Payments"), world.plan("Orders")
    ids = list(SourceServer.objects.filter(name__startswith="Orders").values_list("pk", flat=True))
    ProtectionGroup.objects.filter(waves__plan=theirs).update(account_id=SECOND)
    SourceServer.objects.filter(pk__in=ids).update(account_id=SECOND)
    for account, host in ((world.ACCOUNT, "Payments"), (SECOND, "Orders")):
        server = SourceServer.objects.filter(name__startswith=host).earliest("pk")
        RecoveryInstance.objects.create(
            pk=f"i-{account}00000", account_id=account, region="us-east-1", source_server_id=server.pk, is_drill=True,
            ec2_state="RUNNING", seen_at=timezone.now(),
        )  # fmt: skip
    return ours, theirs


@pytest.mark.parametrize("page", PAGES)
def test_each_list_is_filtered_by_account(console: Client, two: tuple[RecoveryPlan, RecoveryPlan], page: str) -> None:
    for plan in two:
        world.start(plan)
    html = console.get(page).content.decode()
    assert 'name="account"' in html
    assert {"Payments", "Orders"} <= set(re.findall("Payments|Orders", html))
    html = console.get(f"{page}?account={SECOND}").content.decode()
    assert f'<option value="{SECOND}" selected>Branch offices</option>' in html
    assert set(re.findall("Payments|Orders", html)) == {"Orders"}
    assert not [each for each in re.findall(r'href="\?[^"]*"', html) if f"account={SECOND}" not in each]
    empty = console.get(f"{page}?account={NOBODYS}").content.decode()
    assert re.search(f"in account {NOBODYS}[^.]*\\.", words(empty)), "also of an account that nobody knows any more"
    assert not re.findall("Payments|Orders", empty)
    assert re.search(rf'<a href="{page}">Show all', empty)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_no_account_is_told_also_where_there_is_one_only(console: Client, db: None, page: str) -> None:
    assert "AWS account" not in console.get(page).content.decode()
    told = console.get(f"{page}?account=bogus").content.decode()
    assert f"AWS account does not filter: {WRONG}" in words(told)
    assert 'aria-describedby="id_account_error"' in told
    assert 'id="id_account_error"' in told
    assert f"in account {NOBODYS}" in words(console.get(f"{page}?account={NOBODYS}").content.decode())


def test_what_hangs_on_plans_is_filtered_by_their_accounts(
    console: Client, two: tuple[RecoveryPlan, RecoveryPlan], sign_in: Callable[..., Api]
) -> None:
    admin = sign_in("admin")
    for plan in two:
        found = {"planId": str(plan.pk), "text": f"{plan.name} came up slowly", "owner": "Jo", "severity": "LOW"}
        answer(admin.post("/findings", found), 201)
        weekly = {
            "planId": str(plan.pk),
            "rule": "FREQ=WEEKLY",
            "startsOn": f"{timezone.now().date()}",
            "time": "02:00",
        }
        answer(admin.post("/schedules", weekly | {"timeZone": "UTC"}), 201)
        answer(admin.post("/drill-requests", {"planId": str(plan.pk), "reason": "weekly"}), 201)
    for path in ("/findings", "/schedules", "/drill-requests"):
        assert len(answer(admin.get(path))["items"]) == 2
        assert [each["planId"] for each in answer(admin.get(f"{path}?accountId={SECOND}"))["items"]] == [str(two[1].pk)]
        assert answer(admin.get(f"{path}?accountId={NOBODYS}"))["items"] == []
        assert "accountId" in refusal(admin.get(f"{path}?accountId=bogus"), 400, "VALIDATION_ERROR")["fields"]
    for page in ("/findings", "/exercises", "/schedules", "/ledger"):
        assert {"Payments", "Orders"} <= set(re.findall("Payments|Orders", console.get(page).content.decode()))
        html = console.get(f"{page}?account={SECOND}").content.decode()
        assert set(re.findall("Payments|Orders", html)) == {"Orders"}
        assert f"in account {NOBODYS}" in words(console.get(f"{page}?account={NOBODYS}").content.decode())
        assert f"does not filter: {WRONG}" in words(console.get(f"{page}?account=bogus").content.decode())


def test_the_ledger_and_its_files_are_of_one_account(
    console: Client, two: tuple[RecoveryPlan, RecoveryPlan], sign_in: Callable[..., Api]
) -> None:
    """Its counts, too, and the servers that are in no plan; a file says of which account it is."""
    for account, count in ((SECOND, 3), (world.ACCOUNT, 1)):
        free = [world.server(f"Free {account} {each}") for each in range(count)]
        SourceServer.objects.filter(pk__in=free).update(account_id=account)
    api = sign_in("admin")
    whole, part = answer(api.get("/ledger")), answer(api.get(f"/ledger?accountId={SECOND}"))
    assert [(each["accountId"], each["serversInNoPlan"]) for each in (whole, part)] == [(None, 4), (SECOND, 3)]
    assert [[plan["planName"] for plan in each["plans"]] for each in (whole, part)] == [
        ["Orders", "Payments"],
        ["Orders"],
    ]
    assert [each["coverage"][0]["of"] for each in (whole, part)] == [8, 4]
    assert "accountId" in refusal(api.get("/ledger?accountId=bogus"), 400, "VALIDATION_ERROR")["fields"]
    text = words(console.get(f"/ledger?account={SECOND}").content.decode())
    assert (
        "Plans with a group in account Branch offices: 1 plan Never proven · 3 servers of the account in no plan"
        in text
    )
    assert "0 of 4 servers in plans" in text
    html = console.get(f"/ledger?account={SECOND}&days=30").content.decode()
    file = console.get(f"/ledger?days=30&account={SECOND}&format=csv")
    assert f'href="?days=30&amp;account={SECOND}&amp;format=csv"' in html
    assert f'filename="ledger-{SECOND}-' in file["Content-Disposition"]
    assert set(re.findall("Payments|Orders", file.content.decode())) == {"Orders"}
    assert file.content == api.get(f"/ledger?days=30&accountId={SECOND}&format=csv").content


def test_other_filters_are_told_as_well(console: Client) -> None:
    text = words(console.get("/executions?status=DONE&since=yesterday").content.decode())
    assert "Status does not filter: Select a valid choice. DONE is not one of the available choices." in text
    assert "Started on or after does not filter: Enter a valid date." in text


def test_a_poll_of_plans_counts_what_the_account_has(console: Client, two: tuple[RecoveryPlan, RecoveryPlan]) -> None:
    address = asked(console.get(f"/recovery-plans?account={SECOND}").content.decode())
    run = world.start(two[1])
    headers = {**HX, "HX-Current-URL": f"http://testserver/recovery-plans?account={SECOND}"}
    told = console.get(address, headers=headers).content.decode()
    assert "All 1" in words(told)
    assert f"account={SECOND}" in told
    end(run, ExecutionStatus.COMPLETED)


def test_the_way_back_from_ending_instances_keeps_it(console: Client, two: tuple[RecoveryPlan, RecoveryPlan]) -> None:
    RegionInventory.objects.create(way=SECOND, account_id=SECOND, region="us-east-1", tried_at=timezone.now())
    html = console.get(f"/recovery-instances?account={SECOND}&choose=drills").content.decode()
    assert "us-east-1 of Branch offices" in words(html)
    assert re.findall(r'name="instance" value="([^"]+)"[^>]* checked', html) == [f"i-{SECOND}00000"]
    assert f'href="/recovery-instances?account={SECOND}">Choose none' in html
    posted = {"account": SECOND, "instance": [f"i-{SECOND}00000"]}
    question = console.post("/recovery-instances/terminate", posted).content.decode()
    assert f'href="/recovery-instances?account={SECOND}"' in question
    done = console.post("/recovery-instances/terminate", posted | {"confirm": "terminate 1"})
    assert done["Location"] == f"/recovery-instances?account={SECOND}"


@pytest.mark.parametrize(
    "path",
    [
        "/recovery-plans?",
        "/protection-groups?",
        "/executions?",
        "/recovery-instances?",
        "/native-plans?region=us-east-1&",
    ],
)
def test_the_api_refuses_what_is_no_account(sign_in: Callable[..., Api], path: str) -> None:
    refused = refusal(sign_in("admin").get(f"{path}accountId=bogus"), 400, "VALIDATION_ERROR")
    assert refused["fields"]["accountId"] == [f"{WRONG}, such as 123456789012."]


def test_the_api_refuses_a_region_that_is_none(sign_in: Callable[..., Api]) -> None:
    assert refusal(sign_in("admin").get("/protection-groups?region=mars-1"), 400, "INVALID_REGION")["fields"]["region"]
    assert answer(sign_in("viewer").get("/protection-groups?region="))["count"] == 0
