"""The registry of AWS accounts: who may change it, what it refuses, and whether an account can be entered."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import registry
from accounts.models import Account
from audit.models import AuditEntry
from drs import account
from drs.errors import SWITCHED_OFF
from drs_simulator.testing import RunningSimulator
from tests.support.api_client import Api, answer, make_user
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, two_accounts

BODY = {
    "accountId": SECOND,
    "name": "Branch offices",
    "roleArn": ROLE,
    "externalId": EXTERNAL_ID,
    "regions": ["us-east-1", "us-west-2"],
}


@pytest.fixture
def admin(simulator: RunningSimulator, sign_in: Callable[..., Api]) -> Api:
    two_accounts(simulator)
    return sign_in("admin")


def test_our_own_account_is_always_there_without_a_role(admin: Api) -> None:
    [ours] = answer(admin.get("/accounts"))["accounts"]
    assert ours == {
        "accountId": OURS,
        "name": OURS,
        "roleArn": None,
        "externalId": None,
        "regions": [],
        "enabled": True,
        "isHome": True,
        "lastCheck": None,
        "version": 1,
    }
    assert answer(admin.delete(f"/accounts/{OURS}"), 409)["error"] == "ACCOUNT_IN_USE"
    named = answer(admin.put(f"/accounts/{OURS}", {"name": "Head office"}))
    assert (named["name"], named["isHome"]) == ("Head office", True)
    assert "roleArn" in answer(admin.put(f"/accounts/{OURS}", {"roleArn": ROLE}), 400)["details"]["fields"]
    assert answer(admin.post("/accounts", BODY | {"accountId": OURS, "name": "Again"}), 400)


def test_an_account_is_added_changed_checked_and_deleted(admin: Api, simulator: RunningSimulator) -> None:
    made = answer(admin.post("/accounts", BODY), 201)
    assert made == BODY | {"enabled": True, "isHome": False, "lastCheck": None, "version": 1}
    checked = answer(admin.post(f"/accounts/{SECOND}/check"))["lastCheck"]
    assert (checked["ok"], checked["code"], checked["region"]) == (True, "", "")
    asked = [str(each["region"]) for each in simulator.journal("DescribeSourceServers") if each["account"] == SECOND]
    assert sorted(asked) == ["us-east-1", "us-west-2"], "once a region"
    changed = answer(admin.put(f"/accounts/{SECOND}", {"externalId": "another", "version": 1}))
    assert (changed["externalId"], changed["lastCheck"], changed["version"]) == ("another", None, 2)
    refused = answer(admin.post(f"/accounts/{SECOND}/check"))["lastCheck"]
    assert (refused["ok"], refused["code"], refused["region"]) == (False, "AccessDenied", "us-east-1")
    assert ROLE in refused["message"]
    assert "is not authorized to perform: sts:AssumeRole" in refused["message"]
    assert answer(admin.put(f"/accounts/{SECOND}", {"name": "Late", "version": 1}), 412)
    answer(admin.delete(f"/accounts/{SECOND}"))
    assert registry.role_of(SECOND) is None
    entries = AuditEntry.objects.filter(subject_kind="aws_account", refused=False).order_by("pk")
    assert [each.verb.removeprefix("aws_account.") for each in entries] == [
        *("create", "check", "update", "check", "delete")
    ]
    assert EXTERNAL_ID not in str([each.after for each in entries]), "everybody reads the journal"


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"roleArn": ROLE.replace(SECOND, "777788889999")}, "roleArn", "VALIDATION_ERROR"),
        ({"roleArn": f"arn:aws:iam::{SECOND}:user/me"}, "roleArn", "VALIDATION_ERROR"),
        ({"roleArn": ROLE.replace("arn:aws:", "arn:aws-us-gov:")}, "roleArn", "VALIDATION_ERROR"),
        ({"roleArn": ROLE.replace("arn:aws:", "arn:aws-cn:")}, "roleArn", "VALIDATION_ERROR"),
        ({"accountId": "44445555666"}, "accountId", "VALIDATION_ERROR"),
        ({"externalId": "no spaces"}, "externalId", "VALIDATION_ERROR"),
        ({"regions": ["us-east-1", "nowhere-9"]}, "regions", "INVALID_REGION"),
        ({"regions": []}, "regions", "VALIDATION_ERROR"),
        ({"name": " "}, "name", "VALIDATION_ERROR"),
    ],
)
def test_what_cannot_be_an_account_is_refused(admin: Api, change: dict[str, Any], field: str, code: str) -> None:
    refused = answer(admin.post("/accounts", BODY | change), 400)
    assert refused["error"] == code
    assert field in refused["details"]["fields"]
    assert not Account.objects.exists()


def test_a_role_is_of_the_partition_that_we_run_in(admin: Api, settings: Any) -> None:
    """One that was entered before this was looked at can be switched off, and corrected."""
    elsewhere = ROLE.replace("arn:aws:", "arn:aws-us-gov:")
    settings.AWS_REGION = "us-gov-west-1"
    refused = answer(admin.post("/accounts", BODY), 400)["details"]["fields"]["roleArn"]
    assert "runs in us-gov-west-1, of the partition aws-us-gov" in refused[0]
    of_theirs = BODY | {"roleArn": elsewhere, "regions": ["us-gov-west-1"]}
    wrong = answer(admin.post("/accounts", of_theirs | {"regions": ["us-gov-west-1", "us-east-1"]}), 400)
    assert wrong["details"]["fields"]["regions"][0].startswith("us-east-1 is in AWS's partition aws. This installation")
    assert answer(admin.get("/protection-groups?region=us-east-1"), 400)["error"] == "INVALID_REGION"
    answer(admin.post("/accounts", of_theirs), 201)
    settings.AWS_REGION = "us-east-1"
    path = f"/accounts/{SECOND}"
    assert answer(admin.put(path, {"enabled": False}))["roleArn"] == elsewhere
    assert "roleArn" in answer(admin.put(path, {"roleArn": f"{elsewhere}-2"}), 400)["details"]["fields"]
    assert "regions" in answer(admin.put(path, {"regions": ["us-gov-east-1"]}), 400)["details"]["fields"]
    answer(admin.put(path, {"roleArn": ROLE, "regions": ["us-east-1"]}))
    assert "roleArn" in answer(admin.put(path, {"roleArn": elsewhere}), 400)["details"]["fields"]


@pytest.mark.parametrize("account_id", ["444455556666", "44445555666", "%00", "x" * 300])
def test_what_is_no_account_is_not_found(admin: Api, account_id: str) -> None:
    for refused in (
        admin.get(f"/accounts/{account_id}"),
        admin.put(f"/accounts/{account_id}", {"name": "x"}),
        admin.delete(f"/accounts/{account_id}"),
        admin.post(f"/accounts/{account_id}/check"),
    ):
        assert answer(refused, 404)["error"] == "NOT_FOUND"


def test_ids_and_names_are_unique(admin: Api) -> None:
    answer(admin.post("/accounts", BODY), 201)
    assert answer(admin.post("/accounts", BODY | {"name": "Other"}), 409)["error"] == "ACCOUNT_EXISTS"
    third = {"accountId": "777788889999", "roleArn": ROLE.replace(SECOND, "777788889999")}
    assert answer(admin.post("/accounts", BODY | third | {"name": "BRANCH offices"}), 409)["error"] == (
        "ACCOUNT_NAME_EXISTS"
    )


@pytest.mark.parametrize("role", ["viewer", "planner", "operator", "recovery-manager"])
def test_only_administrators_see_and_change_accounts(
    simulator: RunningSimulator, sign_in: Callable[..., Api], role: str
) -> None:
    them = sign_in(role)
    for refused in (
        them.get("/accounts"),
        them.post("/accounts", BODY),
        them.get(f"/accounts/{OURS}"),
        them.put(f"/accounts/{OURS}", {"name": "x"}),
        them.delete(f"/accounts/{OURS}"),
        them.post(f"/accounts/{OURS}/check"),
    ):
        assert answer(refused, 403)["error"] == "FORBIDDEN"
    assert not Account.objects.exists()


def test_one_that_is_switched_off_is_not_entered(admin: Api, simulator: RunningSimulator) -> None:
    answer(admin.post("/accounts", BODY | {"enabled": False}), 201)
    told = answer(admin.post(f"/accounts/{SECOND}/check"))["lastCheck"]
    assert (told["ok"], told["code"]) == (False, SWITCHED_OFF)
    assert "is switched off under Settings → Accounts" in told["message"]
    assert simulator.journal("AssumeRole") == []


def test_the_console_lists_adds_changes_checks_and_deletes(simulator: RunningSimulator, db: None) -> None:
    two_accounts(simulator)
    console = Client()
    console.force_login(make_user("admin"))
    page = console.get("/settings/accounts").content.decode()
    assert OURS in page
    assert "own credentials" in page
    form = {
        "account_id": SECOND,
        "name": "Branch offices",
        "role_arn": ROLE,
        "external_id": EXTERNAL_ID,
        "regions": "us-east-1, us-west-2",
        "enabled": "on",
    }
    wrong = console.post("/settings/accounts/new", form | {"role_arn": ROLE.replace(SECOND, OURS)})
    assert wrong.status_code == 400
    assert f"This is a role of account {OURS}, not of {SECOND}." in wrong.content.decode()
    assert console.post("/settings/accounts/new", form).status_code == 302
    assert console.post(f"/settings/accounts/{SECOND}/check").status_code == 302
    assert "Readable" in console.get("/settings/accounts").content.decode()
    page = console.get(f"/settings/accounts/{SECOND}").content.decode()
    assert 'value="us-east-1, us-west-2"' in page
    assert console.post(f"/settings/accounts/{SECOND}", form | {"name": "Branches"}).status_code == 302
    assert console.get(f"/settings/accounts/{SECOND}/delete").status_code == 200
    assert console.post(f"/settings/accounts/{SECOND}/delete").status_code == 302
    assert not Account.objects.exists()
    console.force_login(make_user("operator"))
    assert console.get("/settings/accounts").status_code == 403


def test_the_console_says_when_nobody_knows_whose_our_credentials_are(simulator: RunningSimulator, db: None) -> None:
    account._accounts.clear()
    simulator.scenario("access_denied", operation="GetCallerIdentity")
    console = Client()
    console.force_login(make_user("admin"))
    page = console.get("/settings/accounts").content.decode()
    assert "AWS does not say whose" in page
    assert "No account is known." in page
