"""Accounts as the API shows them."""

from typing import TypedDict, cast

from accounts import registry, services
from accounts.home import home_account
from accounts.models import Account


class LastCheck(TypedDict):
    """What came of entering the account and reading DRS once a region; of several regions the first that failed."""

    time: int
    ok: bool
    code: str
    message: str
    region: str


class AccountShape(TypedDict):
    """An AWS account. The one with `isHome` is that of this installation's own credentials, and has no role."""

    accountId: str
    name: str
    roleArn: str | None
    externalId: str | None
    regions: list[str]
    enabled: bool
    isHome: bool
    lastCheck: LastCheck | None
    version: int


class AccountsAnswer(TypedDict):
    """Our own account first, then the others by name."""

    accounts: list[AccountShape]
    count: int


class AccountDeleted(TypedDict):
    accountId: str
    message: str


def show(account: Account) -> AccountShape:
    told = account.check_result
    return AccountShape(
        accountId=account.pk,
        name=account.name,
        roleArn=account.role_arn or None,
        externalId=account.external_id or None,
        regions=list(account.regions),
        enabled=account.enabled,
        isHome=services.is_home(account),
        lastCheck=cast("LastCheck", told) if told else None,
        version=account.version,
    )


def all_accounts() -> list[Account]:
    """Our own first, as far as STS says whose the credentials are; named or not."""
    registry.forget()
    home, rows = home_account(), list(Account.objects.all())
    ours = [each for each in rows if each.pk == home and not each.role_arn]
    if not ours and home and home not in {each.pk for each in rows}:
        ours = [services.unnamed_home(home)]
    return ours + [each for each in rows if each not in ours]
