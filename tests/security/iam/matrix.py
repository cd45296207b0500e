"""The matrix of rights as one question: what is wrong with these policies? Asked of deploy/iam and of broken copies."""

import copy
import json
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from deploy import stacks
from drs_simulator.protocol.iam_policy import Decision, Request, Statement, as_conditions, as_list, decide
from tests.security.iam.refused import DANGEROUS, LEFT_OUT, ONLY_THROUGH_DRS
from tests.security.iam.rights_of_a_launch import (
    ACCOUNT,
    BOTH,
    DRS,
    JOB,
    LAUNCH,
    LAUNCH_INTO,
    MANAGED,
    REGION,
    TERMINATE,
    Row,
    arn,
)
from tests.security.iam.rights_of_options import ROWS

HERE = Path(__file__).parent
NAMES = sorted({name for names in stacks.ROLES.values() for name in names})
LAUNCHING = ("engine", "templates")  # what a launch needs where nothing may be terminated


def oracle(name: str) -> list[Statement]:
    """A policy of AWS's own; the file keeps its version and where it is from."""
    found: list[Statement] = json.loads((HERE / f"{name}.json").read_text())["Document"]["Statement"]
    return found


CONSOLE_POLICY = oracle("AWSElasticDisasterRecoveryConsoleFullAccess_v2")
ACTIONS_POLICY = oracle("AWSElasticDisasterRecoveryLaunchActionsPolicy")
SHARED = {"security-group", "subnet", "vpc", "capacity-reservation", "dedicated-host", "placement-group"}


@dataclass
class Policies:
    """The files of deploy/iam, by name; a test breaks a copy."""

    files: dict[str, list[Statement]]

    @classmethod
    def shipped(cls) -> "Policies":
        return cls({name: json.loads((stacks.POLICIES / f"{name}.json").read_text())["Statement"] for name in NAMES})

    def broken(self) -> "Policies":
        return Policies(copy.deepcopy(self.files))


@dataclass(frozen=True)
class Check:
    """One question to the statements of some files, with the decisions that are right."""

    files: tuple[str, ...]
    request: Request
    right: tuple[Decision, ...]
    wrong: str  # what is said otherwise
    beside: tuple[Statement, ...] = ()


ALLOWED = (Decision.ALLOWED,)
REFUSED = (Decision.NOT_ALLOWED, Decision.DENIED)
PROCESSES = ("Engine", "Web")


def faults(policies: Policies, actions: Container[str] | None = None) -> Iterator[str]:
    """Everything that the matrix finds wrong, a line each; of these actions only, where some are named."""
    for check in checks():
        if actions is None or check.request.action in actions:
            statements = [*check.beside, *(each for name in check.files for each in policies.files[name])]
            if decide(statements, check.request) not in check.right:
                yield check.wrong


@cache
def checks() -> tuple[Check, ...]:
    return (*_missing(), *_as_aws(), *_direct(), *_dangerous(), *_of_web(), *_elsewhere())


def _missing() -> Iterator[Check]:
    """What is needed, asked of the files that must answer for it alone."""
    needed = [("a launch", LAUNCHING, LAUNCH), ("a termination", ("terminate",), TERMINATE)]
    needed += [(f"{each} terminates", stacks.ROLES[each], TERMINATE) for each in PROCESSES]
    needed += [(name, (name,), rows) for name, rows in ROWS.items()]
    for who, names, rows in needed:
        for row in rows:
            yield Check(names, row.request(), ALLOWED, f"{who} lacks: {row}")


def allowed_by(statement: Statement) -> Iterator[Row]:
    """Requests that tell what the statement wants, one for each action, kind of resource and wanted CreateAction."""
    conditions = as_conditions(statement.get("Condition", {}))
    wanted = {key: as_list(value) for keys in conditions.values() for key, value in keys.items()}
    tags = tuple(key.partition("/")[2] for key in wanted if ":ResourceTag/" in key)
    new_tags = tuple(key.partition("/")[2] for key in wanted if ":RequestTag/" in key)
    through = bool({"aws:ViaAWSService", "aws:CalledVia"} & wanted.keys())
    services = tuple(dict.fromkeys([DRS, *wanted.get("aws:CalledVia", [])]))
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            for creating in wanted.get("ec2:CreateAction", [""]):
                row = Row(action, kind_of(resource), None, tags=tags, request_tags=new_tags, creating=creating)
                row = replace(row, passed_to="ec2.amazonaws.com" if action == "iam:PassRole" else "", via=services)
                # what is made with a tag is made without the ones that are tested for
                row = replace(row, request_tags=row.request_tags or ((MANAGED,) if row.creating else ()))
                yield row
                if not through and resource != "*":
                    yield row.directly()


def kind_of(resource: str) -> str:
    """The kind that a pattern of resources is about; outside EC2, an ARN that it matches."""
    if resource == "*":
        return resource
    partition, service, region, account, name = resource.split(":", 5)[1:]
    if service in ("ec2", "iam"):
        return name.removesuffix("/*")
    account = "" if account == "*" and ("/AWS" in name or "/Amazon" in name) else account.replace("*", ACCOUNT)
    return f"arn:{partition}:{service}:{region.replace('*', REGION)}:{account}:{name.replace('*', 'x')}"


def is_left_out(row: Row) -> bool:
    plain = f"{row.action} {row.kind}"
    if row.action in LEFT_OUT or (not row.via and plain in ONLY_THROUGH_DRS):
        return True
    return plain in LEFT_OUT and not row.creating


def _as_aws() -> Iterator[Check]:
    """Where the engine's role differs from what AWS gives to whoever starts launches, and nothing says so."""
    for statement in CONSOLE_POLICY[1:] + ACTIONS_POLICY:  # the first is drs:*
        for row in allowed_by(statement):
            assert decide([statement], row.request()) is Decision.ALLOWED, f"{statement['Sid']} is misread: {row}"
            right = REFUSED if is_left_out(row) else ALLOWED
            yield Check(stacks.ROLES["Engine"], row.request(), right, f"{statement['Sid']} and LEFT_OUT: {row}")


# Rows whose action on that kind of resource is also asked by us, directly.
OPTIONAL = [row for name in ("flexible-types", "existing-instances", "dedicated-hosts") for row in ROWS[name]]
OPTIONAL += [row for row in ROWS["launch-actions"] if row.via and row.action != "ssm:GetParameters"]
ALSO_DIRECT = {(row.action, row.kind) for row in BOTH if not row.via or row.kind == "*"}
ALSO_DIRECT |= {("ec2:GetInstanceTypesFromInstanceRequirements", "*")}
OTHERS: tuple[tuple[str, ...], ...] = ((), ("cloudformation.amazonaws.com",), ("autoscaling.amazonaws.com", "ec2.x"))


def _direct() -> Iterator[Check]:
    """Whoever has the credentials of a process can call EC2, too: every tag in place, and refused all the same."""
    rows = [row for row in BOTH + OPTIONAL if (row.action, row.kind) not in ALSO_DIRECT]
    for row, via in ((row, via) for row in rows for via in OTHERS):
        for tags in dict.fromkeys((row.tags, (MANAGED, JOB, LAUNCH_INTO))):
            request = replace(row, via=via, tags=tags, request_tags=row.request_tags or (MANAGED,)).request()
            told = {**request.context, "aws:ViaAWSService": "true" if via else "false"}
            for each in (request, Request(request.action, request.resource, told)):
                for process in PROCESSES:
                    wrong = f"{process} may outside DRS, via {via}: {row}"
                    yield Check(stacks.ROLES[process], each, REFUSED, wrong)


def _dangerous() -> Iterator[Check]:
    for row in DANGEROUS:
        for each in dict.fromkeys((row, row.directly(), replace(row, via=(DRS,)))):
            if each.action == "drs:TagResource" and each.via:
                continue  # DRS itself may: it registers what it launched
            for process in PROCESSES:
                wrong = f"{process} may, which is dangerous: {each}"
                yield Check(stacks.ROLES[process], each.request(), REFUSED, wrong)


NEVER = "DeleteSourceServer DisconnectSourceServer DisconnectRecoveryInstance StopReplication StartFailbackLaunch"
EVERYTHING: Statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _of_web() -> Iterator[Check]:
    """The web processes launch nothing: what they share with a launch is looking, and what ends instances. And they
    end no replication, whatever else somebody attaches to their role."""
    shared = {(each.action, each.kind) for each in [*TERMINATE, *ROWS["check"], *ROWS["web"]]}
    for row in LAUNCH + OPTIONAL:
        if (row.action, row.kind) not in shared:
            yield Check(stacks.ROLES["Web"], row.request(), REFUSED, f"Web may launch: {row}")
    for action in [*NEVER.split(), "UpdateReplicationConfiguration"]:
        row = Row(f"drs:{action}", "source-server", None, via=())
        wrong = f"Web may with other rights: {row}"
        yield Check(stacks.ROLES["Web"], row.request(), (Decision.DENIED,), wrong, (EVERYTHING,))


def _elsewhere() -> Iterator[Check]:
    """Networks may be shared with us; all else that is named belongs to this account. And reading ends where the
    regions end that were named."""
    for row in BOTH + OPTIONAL:
        there = replace(row, account="999999999999").request()
        if there.resource not in ("*", arn(row.kind, ACCOUNT)) and not (row.kind in SHARED and row.via):
            yield Check(stacks.ROLES["Engine"], there, REFUSED, f"in another account: {row}")
    reading = [row for name in ("engine", "web", "check", "flexible-types") for row in ROWS[name]]
    for row in [*reading, *TERMINATE, *(each for each in ROWS["launch-actions"] if not each.via)]:
        if row.kind == "*" and row.action != "sts:GetCallerIdentity":
            there = Request(row.action, "*", {**row.context(), "aws:RequestedRegion": "eu-south-2"})
            for process in PROCESSES:
                yield Check(stacks.ROLES[process], there, REFUSED, f"{process} in another region: {row}")
