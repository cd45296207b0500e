"""ARNs of what DRS has, in the partition of its region."""


def partition_of(region: str) -> str:
    """The partition in a region's ARNs, of the two in which DRS exists."""
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def server_arn(account: str, region: str, source_server_id: str) -> str:
    return f"arn:{partition_of(region)}:drs:{region}:{account}:source-server/{source_server_id}"
