"""Accounts in documents, with the groups in them, in one request."""

import json
from typing import Any

import pytest
import yaml

from accounts.models import Account
from protection.models import ProtectionGroup
from tests.documents.test_documents import applied, diff, export, group, said
from tests.support.api_client import Api, answer, refusal
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, second_server, two_accounts
from tests.support.stage import Stage


@pytest.fixture
def document(stage: Stage) -> list[dict[str, Any]]:
    two_accounts(stage.simulator)
    spec = {"accountId": SECOND, "roleArn": ROLE, "externalId": EXTERNAL_ID, "regions": ["us-east-1"]}
    account = {"kind": "Account", "metadata": {"name": "Branches"}, "spec": spec}
    ours = stage.ids("app-01")
    theirs = [second_server("app-01")]
    return [group("Ours", ours, accountId=OURS), group("Theirs", theirs, accountId=SECOND), account]


@pytest.mark.both
def test_an_account_comes_with_its_groups(admin: Api, sign_in: Any, document: list[Any]) -> None:
    found = applied(admin, document)
    assert said(found)[0] == ("CREATE", "Account", "Branches")
    assert dict(ProtectionGroup.objects.values_list("name", "account_id")) == {"Ours": OURS, "Theirs": SECOND}
    text = export(admin, "yaml")
    assert OURS not in text  # our own is not named: it is another one in each installation
    assert EXTERNAL_ID in text
    assert diff(admin, text, prune=True)["changes"] == []
    hidden = export(sign_in("planner"), "yaml")
    assert EXTERNAL_ID not in hidden
    assert diff(admin, hidden, prune=True)["changes"] == []  # as what it was shown in place of
    elsewhere = hidden.replace("Branches", "Elsewhere")
    assert "Write the external id" in json.dumps(
        refusal(admin.post("/configuration/diff", {"document": elsewhere}), 400, "VALIDATION_ERROR")
    )
    refused = {"document": document[2] | {"spec": document[2]["spec"] | {"enabled": False}}}
    refused["digest"] = diff(sign_in("planner"), refused["document"])["digest"]
    assert EXTERNAL_ID not in json.dumps(answer(sign_in("planner").post("/configuration/diff", {"document": document})))
    refusal(sign_in("planner").post("/configuration/apply", refused), 403, "FORBIDDEN")


def test_a_server_is_looked_for_in_the_account_of_its_group(admin: Api, document: list[Any]) -> None:
    wrong = [document[2], group("Theirs", document[0]["spec"]["sourceServerIds"], accountId=SECOND)]
    body = {"document": wrong, "digest": diff(admin, wrong)["digest"]}
    refusal(admin.post("/configuration/apply", body), 400, "INVALID_SERVER_IDS")
    assert not Account.objects.exists()


def test_what_is_wrong_with_an_account_is_told(admin: Api, document: list[Any]) -> None:
    stranger = refusal(admin.post("/configuration/diff", {"document": document[1]}), 400, "VALIDATION_ERROR")
    assert "There is no account" in json.dumps(stranger)
    document[2]["spec"]["roleArn"] = ROLE.replace(SECOND, OURS)
    told = refusal(admin.post("/configuration/diff", {"document": yaml.safe_dump(document)}), 400, "VALIDATION_ERROR")
    assert f"This is a role of account {OURS}" in json.dumps(told)


def test_an_account_in_use_stays(admin: Api, document: list[Any]) -> None:
    applied(admin, document)
    other = {
        **document[2],
        "metadata": {"name": "Another"},
        "spec": {**document[2]["spec"], "accountId": "999999999999"},
    }
    other["spec"]["roleArn"] = ROLE.replace(SECOND, "999999999999")
    told = refusal(admin.post("/configuration/diff", {"document": other, "prune": True}), 400, "VALIDATION_ERROR")
    assert "“Theirs” is of account" in json.dumps(told, ensure_ascii=False)
