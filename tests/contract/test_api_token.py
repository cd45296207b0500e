"""`manage.py api_token` prints a token that works, for those who may have one."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import AuditEntry
from tests.support.api_client import make_user


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("api_token", *arguments, stdout=out)
    return out.getvalue().strip()


def test_it_prints_a_token_that_works(db: None) -> None:
    user = make_user("viewer")
    token = printed("--user", user.username)
    response = Client().get("/api/v1/executions", headers={"Authorization": f"bearer {token}"})
    assert response.status_code == 200
    entry = AuditEntry.objects.get(verb="token.create")
    assert (entry.subject_name, entry.detail) == (user.username, {"hours": 12})
    assert token not in str(entry.detail)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--user", "nobody"),
        ("--user", "gone"),
        ("--user", "here", "--hours", "0"),
        ("--user", "here", "--hours", "9999"),
    ],
)
def test_it_says_why_not(db: None, arguments: tuple[str, ...]) -> None:
    User.objects.create_user("here")
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError):
        printed(*arguments)
