"""The filter by AWS account, the same above every list that has rows of accounts."""

from collections.abc import Iterable
from typing import cast

from django import forms

from accounts.registry import name_of, names
from contract.names import ACCOUNT, NO_ACCOUNT


def by_account() -> forms.ChoiceField:
    """The field `account` of a list's filters; `offer_accounts` gives it its choices."""
    return forms.ChoiceField(label="AWS account", required=False, error_messages={"invalid_choice": NO_ACCOUNT})


def offer_accounts(form: forms.Form, owners: Iterable[str]) -> None:
    """Those that are known, and the `owners` of what is there. Where there is one account only nobody is asked, but an
    account that a saved link names is looked for all the same, also one that nobody knows any more."""
    known, asked = names(), (form.data.get("account") or "").strip()
    if not known and not asked:
        del form.fields["account"]
        return
    found = {*known, *(owners if known else ()), *([asked] if ACCOUNT.fullmatch(asked) else ())} - {""}
    accounts = sorted(((each, name_of(each) or each) for each in found), key=lambda each: each[1])
    cast("forms.ChoiceField", form.fields["account"]).choices = [("", "All accounts"), *accounts]
