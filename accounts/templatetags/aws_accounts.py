"""What accounts are called on pages."""

from django import template

from accounts.registry import name_of

register = template.Library()


@register.filter
def account_name(account_id: str) -> str:
    """The name of an account, or its id; empty where there is one account only, which needs no name."""
    return name_of(account_id) if account_id else ""
