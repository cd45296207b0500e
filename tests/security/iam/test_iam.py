"""The policies in deploy/iam allow exactly what the code calls, and name nothing that does not exist.

Under which conditions: test_launch_rights.py.
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import ServiceModel

from deploy import stacks

ROOT = Path(__file__).resolve().parents[3]
IAM = ROOT / "deploy" / "iam"
# Clients of DRS and EC2 are made where it is decided with whose credentials; STS is also asked for a role's.
CALLERS = {"drs": ROOT / "drs/client.py", "sts": ROOT / "drs/account.py", "sqs": ROOT / "executions/brokers.py"}
CALLERS |= {"sns": ROOT / "notify/channels/sns.py", "sesv2": ROOT / "notify/channels/ses.py"}
CALLERS |= {"events": ROOT / "notify/channels/eventbridge.py"}
NATIVE = ROOT / "drs/native_plans.py"  # of DRS, too
INSTALLATION = ROOT / "drs/installation_tags.py"
ROLES = ROOT / "drs/roles.py"  # with the clients that account.py makes
PREFIXES = {"sesv2": "ses"}  # what IAM calls the service, where that is not its name in the SDK
# What is asked beside DRS, beforehand.
BESIDE = ROOT / "drs/surroundings.py"
ROOMS = (
    "doctor",
    "drs",
    "audit",
    "contract",
    "protection",
    "plans",
    "notify",
    "executions",
    "native_plans",
    "takeover",
    "drsorch_site",
)
POLICIES = sorted({name for names in stacks.ROLES.values() for name in names})

# What asks DRS, and in which processes it runs: every module of the product that makes a `Drs`.
ASKING = {
    "Web": {
        "doctor/account.py",
        "doctor/servers.py",
        "executions/terminating/send.py",
        "executions/terminating/spared.py",
        "executions/terminating/successors.py",
        "executions/terminating/terminate.py",
        "native_plans/copies.py",
        "native_plans/importing.py",
        "native_plans/listing.py",
        "protection/inventory/native_runs.py",
        "protection/inventory/points_in_time.py",
        "protection/inventory/recovery_instances.py",
        "protection/inventory/source_servers.py",
    },
    "Engine": {
        "doctor/account.py",
        "doctor/servers.py",
        "executions/engine/dry_run.py",
        "executions/launching/adopt.py",
        "executions/launching/fence.py",
        "executions/launching/launch.py",
        "executions/launching/production_guard.py",
        "executions/launching/restored_runs.py",
        "executions/launching/snapshots.py",
        "executions/management/commands/unknown_launches.py",  # in a task of its own, with the engine's role
        "executions/observing/drs_answers.py",
        "executions/terminating/follow_up.py",
        "executions/terminating/outside_changes.py",
        "executions/terminating/outside_instances.py",
        "executions/terminating/send.py",
        "executions/terminating/spared.py",
        "executions/terminating/successors.py",
        "native_plans/copies.py",
        "protection/inventory/launch_details.py",
        "protection/inventory/native_runs.py",
        "protection/inventory/recovery_instances.py",
        "protection/inventory/source_servers.py",
        "takeover/marks.py",
    },
}

# What IAM knows as a permission although no operation of the API has the name (service authorization reference).
NO_OPERATIONS = {"drs:CreateRecoveryInstanceForDrs", "iam:PassRole", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
# What the operations need besides, by the same reference: DRS asks for it in the caller's name.
DEPENDENT = {
    "drs:StartRecovery": {"drs:CreateRecoveryInstanceForDrs", "drs:ListTagsForResource", "drs:TagResource"},
    "drs:TerminateRecoveryInstances": {"drs:DescribeSourceServers"},
    "ses:SendEmail": {"ses:SendRawEmail"},
    "drs:DescribeRecoveryInstances": {"drs:DescribeSourceServers", "ec2:DescribeInstances"},
}


def statements(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((IAM / f"{name}.json").read_text())["Statement"]
    return found


def actions(name: str, effect: str = "Allow") -> set[str]:
    return {action for each in statements(name) if each["Effect"] == effect for action in each["Action"]}


@cache  # EC2's takes a second to read
def model(service: str) -> ServiceModel:
    found: ServiceModel = botocore.session.get_session().get_service_model(service)
    return found


def called(service: str) -> set[str]:
    """The operations that the module calls: methods of a client, and names given to get_paginator."""
    names = {xform_name(each): each for each in model(service).operation_names}
    found = {word for module in _callers(service) for word in _words(ast.parse(module.read_text()))}
    return {f"{PREFIXES.get(service, service)}:{names[word]}" for word in found if word in names}


def _callers(service: str) -> list[Path]:
    return [CALLERS[service], *{"drs": [NATIVE, INSTALLATION], "sts": [ROLES]}.get(service, [])]


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
            if node.func.attr in ("get_paginator", "get_waiter", "can_paginate"):
                yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant))


def operations() -> dict[str, str]:
    """The operation that each method of our client asks for."""
    found = {}
    nodes = (node for path in _callers("drs") for node in ast.walk(ast.parse(path.read_text())))
    for method in (each for each in nodes if isinstance(each, ast.FunctionDef)):
        for call in ast.walk(method):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "self._call":
                found[method.name] = f"drs:{ast.literal_eval(call.args[0])}"
    return found


def asked(module: Path) -> set[str]:
    """The operations that a module asks DRS for: the methods of `Drs(…)`, or of a variable of that name."""
    uses = [each for each in ast.walk(ast.parse(module.read_text())) if isinstance(each, ast.Attribute)]
    methods = {each.attr for each in uses if ast.unparse(each.value).startswith(("Drs(", "drs", "_at("))}
    return {operation for method, operation in operations().items() if method in methods}


def test_it_finds_the_calls() -> None:
    assert called("drs") >= {"drs:StartRecovery", "drs:TerminateRecoveryInstances", "drs:DescribeJobs"}
    assert called("sts") == {"sts:GetCallerIdentity", "sts:AssumeRole"}


def test_nobody_else_calls_aws() -> None:
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "simulator" not in path.parts]
    users = {path for path in sources if re.search(r"\.(?:client|make_client)\(", path.read_text())}
    assert users == {*CALLERS.values(), BESIDE, ROOT / "drs/status_checks.py"}


@pytest.mark.parametrize("process", ["Web", "Engine"])
def test_each_process_may_do_what_it_does(process: str) -> None:
    """An engine terminates, too: what a person asked for while DRS still worked on the launch."""
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "simulator" not in path.parts]
    makers = {
        str(path.relative_to(ROOT))
        for path in sources
        if re.search(r"(?<!class )\b(?:Drs|NativePlans|InstallationTags)\(", path.read_text())
    }
    assert makers == set().union(*ASKING.values())
    calls = set().union(*(asked(ROOT / module) for module in ASKING[process])) | called("sts")
    assert ("drs:TerminateRecoveryInstances" in calls, "drs:StartRecovery" in calls) == (True, process == "Engine")
    allowed = set().union(*(actions(name) for name in stacks.ROLES[process]))
    assert calls.union(*(DEPENDENT.get(each, set()) for each in calls)) <= allowed


def test_the_policies_together_allow_nothing_in_drs_that_is_not_called() -> None:
    """What is allowed in EC2 and SSM is what DRS calls in our name: test_launch_rights.py judges it."""
    calls = called("drs") | called("sts")
    needed = calls.union(*(DEPENDENT.get(each, set()) for each in calls))
    allowed = set().union(*(actions(name) for name in POLICIES))
    ours = {each for each in allowed if each.startswith(("drs:", "sts:"))}
    assert ours == {each for each in needed if not each.startswith("ec2:")}
    assert {each for each in allowed if each.startswith("iam:")} == {"iam:PassRole", "iam:SimulatePrincipalPolicy"}


@pytest.mark.parametrize("service", ["ec2", "iam", "service-quotas", "sns", "events"])
def test_the_policy_for_the_check_allows_exactly_what_it_calls(service: str) -> None:
    names = {xform_name(each): each for each in model(service).operation_names}
    prefix = {"service-quotas": "servicequotas"}.get(service, service)
    found = {names[word] for word in _words(ast.parse(BESIDE.read_text())) if word in names}
    assert {each for each in actions("check") if each.startswith(f"{prefix}:")} == {
        f"{prefix}:{each}" for each in found
    }


def test_what_an_engine_reads_of_ec2_is_in_its_core() -> None:
    """Without check.json, too: readiness says what a missing right keeps from being checked."""
    names = {xform_name(each): each for each in model("ec2").operation_names}
    modules = [ROOT / "drs" / name for name in ("running.py", "status_checks.py")]
    found = {names[word] for path in modules for word in _words(ast.parse(path.read_text())) if word in names}
    found |= {"DescribeLaunchTemplateVersions", "DescribeSubnets"}  # of `BESIDE`, which doctor asks, too
    assert found >= {"DescribeInstances", "DescribeInstanceTypes", "DescribeInstanceStatus"}
    assert {f"ec2:{each}" for each in found} <= actions("engine")


def test_the_queue_policy_allows_exactly_what_the_broker_calls() -> None:
    assert actions("queue") == called("sqs")


def test_the_notification_policy_allows_exactly_what_the_channels_call() -> None:
    assert actions("notify") == called("sns") | called("events") | called("sesv2") | DEPENDENT["ses:SendEmail"]


def test_each_role_has_only_its_part() -> None:
    mutating = {"drs:StartRecovery", "drs:TerminateRecoveryInstances"}
    assert actions("web") & mutating == set()
    assert actions("engine") & mutating == {"drs:StartRecovery"}
    assert actions("terminate") & mutating == {"drs:TerminateRecoveryInstances"}
    assert all(each.split(":")[1].startswith(("Describe", "Get", "List")) for each in actions("web"))


@pytest.mark.slow
@pytest.mark.parametrize("name", POLICIES)
def test_every_action_exists(name: str) -> None:
    for action in actions(name) | actions(name, "Deny"):
        service, operation = action.split(":")
        service = {"servicequotas": "service-quotas"}.get(service, service)
        assert action in NO_OPERATIONS or operation in model(service).operation_names, action


@pytest.mark.parametrize("name", POLICIES)
def test_no_statement_allows_more_than_it_says(name: str) -> None:
    found = statements(name)
    assert len({each["Sid"] for each in found}) == len(found)
    for each in found:
        assert not any("*" in action for action in each["Action"]), each["Sid"]
        writes = [a for a in each["Action"] if not a.split(":")[1].startswith(("Describe", "Get", "List"))]
        if writes and each["Effect"] == "Allow":
            assert each["Resource"] != "*", each["Sid"]
        if any(a.startswith("ec2:") for a in writes):
            assert each["Condition"], each["Sid"]
