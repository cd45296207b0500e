"""What a person or a client is told when DRS could not be asked."""

from typing import assert_never

from contract.errors import BadGateway, BadRequest, DomainError, Unavailable
from drs.errors import SWITCHED_OFF, DrsError, Trouble
from drs.roles import OPERATION as ASSUME

RETRY_AFTER_SECONDS = 15


_CLASSES = {"DRS_ACCESS_DENIED": BadGateway, "REGION_NOT_ENABLED": BadRequest}


def code_of(trouble: Trouble) -> str:
    """The contract's code for DRS that could not be asked, in refusals and in warnings."""
    match trouble:
        case Trouble.ACCESS_DENIED | Trouble.OTHER_ACCOUNT:
            return "DRS_ACCESS_DENIED"
        case Trouble.REGION_NOT_ENABLED | Trouble.KEY_OR_REGION | Trouble.NOT_INITIALIZED:
            return "REGION_NOT_ENABLED"
        case Trouble.THROTTLED:
            return "DRS_THROTTLED"
        case (
            Trouble.CONFLICT
            | Trouble.QUOTA
            | Trouble.CREDENTIALS
            | Trouble.UNREACHABLE
            | Trouble.NOT_SENT
            | Trouble.INVALID
            | Trouble.NOT_FOUND
            | Trouble.REFUSED
            | Trouble.UNCERTAIN
        ):
            return "DRS_UNAVAILABLE"
        case _:
            assert_never(trouble)


def drs_trouble(error: DrsError) -> DomainError:
    """The contract's error for a failed DRS call within a request. What could not be checked is never assumed."""
    code, details = code_of(error.trouble), {"awsCode": error.code, "awsMessage": error.message, "region": error.region}
    details |= {"accountId": error.account} if error.account else {}
    if kind := _CLASSES.get(code):
        return kind(code, _why(error), details=details)
    return Unavailable(code, _why(error), details=details, retry_after=max(RETRY_AFTER_SECONDS, round(error.rest)))


def _why(error: DrsError) -> str:
    """What a person can do about it differs: only some of it goes away by itself."""
    trouble = error.trouble
    match trouble:
        case Trouble.ACCESS_DENIED:
            return f"AWS denied access to DRS in {error.where}: {error.message.rstrip('.')}. Check the IAM policy."
        case Trouble.OTHER_ACCOUNT:
            return f"Nothing was changed. {error.message}"
        case Trouble.REGION_NOT_ENABLED:
            return f"The region {error.where} is not enabled for this AWS account."
        case Trouble.KEY_OR_REGION if error.account:
            return (
                f"AWS knows no such session in {error.where}: the region is not enabled for that account, or its role"
                " was made anew, and is entered anew within a minute."
            )
        case Trouble.KEY_OR_REGION:
            return (
                f"AWS does not know the access key in {error.where}: the region is not enabled for this AWS account,"
                " or, if other regions fail as well, the key was deleted or replaced."
            )
        case Trouble.NOT_INITIALIZED:
            return f"DRS has never been set up in {error.where} for this account."
        case Trouble.THROTTLED:
            return f"AWS throttles DRS calls in {error.where}. Try again shortly."
        case Trouble.CREDENTIALS if error.operation == ASSUME or error.code == SWITCHED_OFF:
            return f"Nothing was changed. {error.message}"
        case Trouble.CREDENTIALS:
            return (
                f"DRS in {error.where} does not accept this server's AWS credentials ({error.code}). Nothing was"
                " changed. An administrator must renew them or correct its clock."
            )
        case Trouble.INVALID:
            return (
                f"DRS in {error.where} refuses the request as invalid ({error.code}: {error.message})."
                " Nothing was changed. Tell an administrator: trying again will not help."
            )
        case Trouble.REFUSED | Trouble.NOT_FOUND:
            return f"DRS in {error.where} refuses the request ({error.code}: {error.message}). Nothing was changed."
        case Trouble.UNREACHABLE | Trouble.UNCERTAIN | Trouble.NOT_SENT | Trouble.CONFLICT | Trouble.QUOTA:
            return f"DRS in {error.where} does not answer ({error.code}). Nothing was changed. Try again shortly."
        case _:
            assert_never(trouble)
