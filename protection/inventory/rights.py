"""Whether the engine may do what launches are judged by: read status checks, and run post-launch actions."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from drs.errors import DrsError
from drs.launch_rights import Rights
from drs.roles import role_of
from drs.status_checks import check_right
from drs.surroundings import Surroundings, role_behind
from protection.models import RegionInventory, SourceServer

ASKED_EVERY = timedelta(minutes=10)  # IAM is asked beside, which takes few questions


@dataclass(frozen=True)
class Found:
    """Why status checks cannot be read, and what of post-launch actions IAM says is not allowed; empty where nothing is
    known against it."""

    checks_error: str = ""
    actions_denied: str = ""


def is_due(region: str, account: str, now: datetime) -> bool:
    asked = RegionInventory.objects.of(account, region).filter(rights_as_of__gt=now - ASKED_EVERY)
    return not asked.exists()


def have_actions(region: str, account: str) -> bool:
    """Whether launch settings of any server there have post-launch actions on."""
    servers = SourceServer.objects.present().filter(region=region, account_id=account, has_actions=True)
    return servers.exists()


def fetch(region: str, account: str, *, with_actions: bool) -> Found:
    """Ask EC2 and, where actions are on, IAM. Touches no database."""
    simulated = bool(settings.AWS_ENDPOINT_URL_DRS)
    checks_error = ""
    try:
        check_right(region, account, simulated=simulated)
    except DrsError as error:
        checks_error = f"{error.code}: {error.message}"
    return Found(checks_error, _actions_denied(region, account, simulated=simulated) if with_actions else "")


def _actions_denied(region: str, account: str, *, simulated: bool) -> str:
    """Empty also where IAM may not be asked: then it is not known."""
    beside, role = Surroundings(region, account, simulated=simulated), role_of(account)
    try:
        principal = role.arn if role else settings.ENGINE_ROLE or role_behind(beside.caller())
        questions = Rights(account, region).launch_actions()
        denied = [each.action for question in questions for each in beside.denied(principal, question)]
    except DrsError:
        return ""
    return f"{principal} may not {', '.join(sorted(set(denied)))}" if denied else ""


def keep(region: str, account: str, found: Found, now: datetime) -> None:
    RegionInventory.objects.of(account, region).update(
        checks_error=found.checks_error, actions_denied=found.actions_denied, rights_as_of=now
    )
