"""What a person or a client is told when DRS could not be asked."""

from contract.errors import BadGateway, BadRequest, DomainError, Unavailable
from drs.errors import DrsError, Trouble

RETRY_AFTER_SECONDS = 15


def drs_trouble(error: DrsError) -> DomainError:
    """The contract's error for a failed DRS call within a request. What could not be checked is never assumed."""
    details = {"awsCode": error.code, "awsMessage": error.message, "region": error.region}
    if error.trouble is Trouble.ACCESS_DENIED:
        return BadGateway(
            "DRS_ACCESS_DENIED",
            f"AWS denied access to DRS in {error.region}: {error.message} Check the IAM policy.",
            details=details,
        )
    if error.trouble is Trouble.OTHER_ACCOUNT:
        return BadGateway("DRS_ACCESS_DENIED", f"Nothing was changed. {error.message}", details=details)
    if error.trouble is Trouble.REGION_NOT_ENABLED:
        return BadRequest(
            "REGION_NOT_ENABLED",
            f"The region {error.region} is not enabled for this AWS account.",
            details=details,
        )
    if error.trouble is Trouble.KEY_OR_REGION:
        return BadRequest(
            "REGION_NOT_ENABLED",
            f"AWS does not know the access key in {error.region}: the region is not enabled for this AWS account, or,"
            " if other regions fail as well, the key was deleted or replaced.",
            details=details,
        )
    if error.trouble is Trouble.NOT_INITIALIZED:
        return BadRequest(
            "REGION_NOT_ENABLED",
            f"DRS has never been set up in {error.region} for this account.",
            details=details,
        )
    return Unavailable(
        "DRS_THROTTLED" if error.trouble is Trouble.THROTTLED else "DRS_UNAVAILABLE",
        _why_unavailable(error),
        details=details,
        retry_after=RETRY_AFTER_SECONDS,
    )


def _why_unavailable(error: DrsError) -> str:
    """What a person can do about it differs: only some of it goes away by itself."""
    match error.trouble:
        case Trouble.THROTTLED:
            return f"AWS throttles DRS calls in {error.region}. Try again shortly."
        case Trouble.CREDENTIALS:
            return (
                f"DRS in {error.region} does not accept this server's AWS credentials ({error.code}). Nothing was"
                " changed. An administrator must renew them or set its clock right."
            )
        case Trouble.INVALID:
            return (
                f"DRS in {error.region} refuses the request as invalid ({error.code}: {error.message})."
                " Nothing was changed. Tell an administrator: trying again will not help."
            )
        case Trouble.REFUSED | Trouble.NOT_FOUND:
            return f"DRS in {error.region} refuses the request ({error.code}: {error.message}). Nothing was changed."
        case _:
            return f"DRS in {error.region} does not answer ({error.code}). Nothing was changed. Try again shortly."
