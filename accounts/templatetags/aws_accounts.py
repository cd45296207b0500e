"""What accounts are called on pages."""

from django import forms, template

from accounts.registry import name_of

register = template.Library()


@register.filter
def account_name(account_id: str) -> str:
    """The name of an account, or its id; empty where there is one account only, which needs no name."""
    return name_of(account_id) if account_id else ""


@register.filter
def in_account(form: forms.Form) -> str:
    """“ in account …” after what a list has none of, where one account was asked for."""
    asked = getattr(form, "cleaned_data", {}).get("account")
    return f" in account {name_of(asked) or asked}" if asked else ""
