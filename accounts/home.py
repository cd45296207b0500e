"""The account of the process's own credentials: whose it is, STS says."""

from django.conf import settings

from drs.account import account_id
from drs.arns import partition_of
from drs.errors import DrsError


def home_account() -> str:
    """Its id; empty where STS does not say. It is asked once for a set of credentials."""
    try:
        return account_id(settings.AWS_REGION)
    except DrsError:
        return ""


def beyond_us(region: str) -> str:
    """Why nobody gets into a region with our credentials, nor by a role: it lies in another of AWS's partitions. Empty
    where it does not."""
    ours, theirs = partition_of(settings.AWS_REGION), partition_of(region)
    if theirs == ours:
        return ""
    return (
        f"{region} is in AWS's partition {theirs}. This installation runs in {settings.AWS_REGION}, of the partition"
        f" {ours}, and no credentials of that are taken there."
    )
