"""What AWS says of the account and of each region: whose credentials, whether DRS is set up, quotas, rights.

What AWS does not answer is UNKNOWN, which stops nobody.
"""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings

from accounts.registry import name_of
from doctor.findings import Check, Finding
from drs.account import account_id
from drs.account import check as identity_check
from drs.client import SERVERS_PER_JOB, Drs
from drs.errors import DrsError, Trouble
from drs.launch_rights import Rights
from drs.roles import role_of
from drs.surroundings import Denied, Question, Surroundings, role_behind
from protection.inventory.source_servers import accounts_of

CREDENTIALS = (
    "Give the process credentials by its role, a profile or the environment (deploy/iam/README.md); the chain is"
    " botocore's own."
)
ROLE = "Compare its trust policy with deploy/cloudformation/target-account.yaml, and this process's sts:AssumeRole."
ASK = "To have this checked, attach deploy/iam/check.json"
JOBS, PER_JOB, IN_JOBS, VCPUS = "L-D88FAC3A", "L-B827C881", "L-05AFA8C6", "L-1216C47A"
PUBLISHED = {JOBS: 20.0, PER_JOB: 100.0, IN_JOBS: 500.0}
NAMES = {JOBS: "DRS jobs at once", PER_JOB: "servers in a DRS job", IN_JOBS: "servers in all DRS jobs at once"}


@dataclass(frozen=True)
class Place:
    """A region, and the account that is asked; empty where AWS does not say whose our own credentials are."""

    region: str
    account: str

    @property
    def beside(self) -> Surroundings:
        return Surroundings(self.region, self.account, simulated=bool(settings.AWS_ENDPOINT_URL_DRS))

    @property
    def shown(self) -> str:
        """For people: with the account where there are several."""
        name = name_of(self.account) if role_of(self.account) else ""
        return f"{self.region} of {name}" if name else self.region


def of_credentials(region: str, wanted: str) -> tuple[str, list[Finding]]:
    """The account of the credentials, and whether it is the one that is meant."""
    check = Check("credentials")
    try:
        account = account_id(region)
    except DrsError as error:
        text = f"AWS does not accept the credentials, or there are none: {error.code}: {error.message}"
        return "", [check.failed(region, text, CREDENTIALS)]
    if wanted and account != wanted:
        text = f"The credentials are for account {account}, not for {wanted}."
        return account, [check.failed(region, text, "Use the credentials of that account, or its region's profile.")]
    return account, [check.ok(region, f"The credentials are for account {account}.")]


def of_role(region: str, account: str) -> tuple[str, list[Finding]]:
    """Whether an account can be entered by its role."""
    check, place = Check("credentials"), Place(region, account)
    try:
        identity_check(region, account)
    except DrsError as error:
        remedy = f"{ROLE} Settings → Accounts has the role's ARN and the external id."
        return "", [check.failed(place.shown, f"{error.code}: {error.message}", remedy)]
    return account, [check.ok(place.shown, f"The role of account {account} can be assumed.")]


def of_groups_account(place: Place) -> Iterator[Finding]:
    """Whether the groups of a region are of the account that the credentials are for; those of accounts that are
    entered by a role are looked at by themselves."""
    check = Check("account")
    for owner in accounts_of(place.region):
        if role_of(owner) or role_of(place.account):
            continue
        if owner != place.account:
            text = f"Groups in {place.region} are of account {owner}; the credentials are for account {place.account}."
            yield check.failed(place.region, text, f"Use credentials of account {owner}: nothing is sent until then.")
        else:
            yield check.ok(place.region, f"The groups are of account {owner}, as the credentials are.")


def of_drs(place: Place) -> Iterator[Finding]:
    """Whether DRS is set up there and lets us read."""
    check = Check("drs")
    try:
        servers = Drs(place.region, place.account, reading="checker").source_servers()
    except DrsError as error:
        if error.trouble is Trouble.NOT_INITIALIZED:
            remedy = "Open DRS's console in that region once and initialize it, or leave the region out."
            yield check.failed(place.shown, "DRS has never been set up in this region.", remedy)
        elif error.trouble in (Trouble.REGION_NOT_ENABLED, Trouble.KEY_OR_REGION):
            text = f"The region is not enabled for the account, or the key is gone: {error.message}"
            yield check.failed(place.shown, text, "Enable the region in the account, or leave it out.")
        elif error.trouble is Trouble.ACCESS_DENIED:
            remedy = "Compare the process's role with deploy/iam/web.json and engine.json."
            yield check.failed(place.shown, f"The servers may not be read: {error.message}", remedy)
        else:
            yield check.failed(place.shown, f"DRS does not answer: {error.code}: {error.message}", "Try again.")
        return
    yield check.ok(place.shown, f"DRS is set up and lists {len(servers)} source servers.")


def of_quotas(place: Place, vcpus: int, largest_wave: int) -> Iterator[Finding]:
    """What AWS allows at once, beside what is going to be launched."""
    check = Check("quotas")
    try:
        known = place.beside.quotas("drs")
        of_ec2 = place.beside.quotas("ec2") if vcpus else {}
    except DrsError as error:
        published = ", ".join(f"{PUBLISHED[code]:.0f} {name}" for code, name in NAMES.items())
        yield check.not_asked(place.shown, error, f"{ASK}. Until then the published quotas are taken: {published}.")
        return
    found = {code: known.get(code, value) for code, value in PUBLISHED.items()}
    said = ", ".join(f"{found[code]:.0f} {name}" for code, name in NAMES.items())
    if largest_wave > found[IN_JOBS] or found[PER_JOB] < min(largest_wave, SERVERS_PER_JOB):
        text = f"The account allows {said}; the largest wave has {largest_wave} servers."
        yield check.failed(place.shown, text, "Split the wave, or ask AWS for a higher quota.")
    else:
        yield check.ok(place.shown, f"{said}.")
    limit = of_ec2.get(VCPUS)
    if limit is not None and vcpus > limit:
        text = f"About {vcpus} vCPUs would be launched; On-Demand instances of the account may have {limit:.0f}."
        remedy = f"Ask AWS for a higher quota of EC2 ({VCPUS}) before you need it: that takes days."
        yield check.warning(place.shown, text, remedy)


def of_rights(place: Place, questions: Iterable[Question], *, what: str) -> Iterator[Finding]:
    """What IAM says of each action that a launch needs, for the engine's role."""
    check = Check("rights")
    try:
        role = role_of(place.account)
        principal = role.arn if role else settings.ENGINE_ROLE or role_behind(place.beside.caller())
    except DrsError as error:
        yield check.not_asked(place.shown, error, CREDENTIALS)
        return
    allowed: dict[str, int] = defaultdict(int)
    for question in questions:
        try:
            denied = place.beside.denied(principal, question)
        except DrsError as error:
            command = f"{ASK}, or run: {command_for(principal, question)}"
            yield check.not_asked(f"{place.shown}: {named(question)}", error, command)
            if error.trouble in (Trouble.ACCESS_DENIED, Trouble.NOT_SENT, Trouble.UNREACHABLE):
                return  # it would say the same to each
            continue
        for each in denied:
            remedy = f"Compare {principal} with deploy/iam/{question.policy}.json. {_denier(each)}".strip()
            subject = f"{place.shown}: {each.action}"
            yield check.failed(subject, f"{principal} may not {each.action} on {each.resource}.", remedy)
        if not denied:
            allowed[question.policy] += len(question.actions) * len(question.resources)
    for policy, count in allowed.items():
        text = f"{what}: IAM knows nothing against {count} actions of {policy}.json for {principal}."
        yield check.ok(f"{place.shown}: {policy}", text)


def named(question: Question) -> str:
    more = f" and {len(question.actions) - 1} more" if len(question.actions) > 1 else ""
    return f"{question.actions[0]}{more}"


def _denier(each: Denied) -> str:
    if each.by_organization:
        return "A policy of the organization denies it."
    if each.by_boundary:
        return "The role's permissions boundary denies it."
    return "A statement denies it by name." if each.decision == "explicitDeny" else ""


def command_for(principal: str, question: Question) -> str:
    """What asks IAM the same, for somebody who has the right."""
    entries = [
        {
            "ContextKeyName": name,
            "ContextKeyValues": value if isinstance(value, list) else [value],
            "ContextKeyType": "stringList" if isinstance(value, list) else "string",
        }
        for name, value in question.context.items()
    ]
    words = ["aws", "iam", "simulate-principal-policy", "--policy-source-arn", principal]
    words += ["--action-names", *question.actions, "--resource-arns", *question.resources]
    words += ["--context-entries", json.dumps(entries)]
    return shlex.join(words)


def rights_of(place: Place) -> Rights:
    return Rights(place.account, place.region)
