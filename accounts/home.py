"""The account of the process's own credentials: whose it is, STS says."""

from django.conf import settings

from drs.account import account_id
from drs.errors import DrsError


def home_account() -> str:
    """Its id; empty where STS does not say. It is asked once for a set of credentials."""
    try:
        return account_id(settings.AWS_REGION)
    except DrsError:
        return ""
