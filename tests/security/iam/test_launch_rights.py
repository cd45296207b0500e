"""The policies let DRS launch and terminate in our name, and nothing else: judged as IAM does, beside AWS's policies.

The matrix is one function (matrix.py) that lists what is wrong. It finds nothing wrong with what is shipped, and
something with every copy from which a statement, an action, a resource or a condition was taken.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import boto3
import pytest

from deploy import stacks
from drs_simulator.protocol.iam_policy import Decision, Statement, as_conditions, as_list, decide
from executions.codes.explain import explain
from tests.security.iam.matrix import (
    ACTIONS_POLICY,
    CONSOLE_POLICY,
    NAMES,
    Policies,
    allowed_by,
    faults,
)
from tests.security.iam.refused import LEFT_OUT, ONLY_THROUGH_DRS
from tests.security.iam.rights_of_a_launch import BOTH, Row
from tests.security.iam.rights_of_options import ROWS

MANAGED_POLICY_CHARACTERS = 6144  # IAM counts no white space
MANAGED_POLICIES_A_ROLE = 10
INLINE_CHARACTERS_A_ROLE = 10_240
SHIPPED = Policies.shipped()


def test_nothing_is_wrong_with_what_is_shipped() -> None:
    assert list(faults(SHIPPED)) == []


def rows_of_aws() -> Iterator[tuple[str, Row]]:
    yield from (("ConsoleFullAccess", row) for row in BOTH)
    for name, rows in ROWS.items():
        policy = "LaunchActionsPolicy" if name == "launch-actions" else "ConsoleFullAccess"
        yield from ((policy, row) for row in rows)


@pytest.mark.parametrize(("policy", "row"), list(dict.fromkeys(rows_of_aws())), ids=str)
def test_the_policy_of_aws_says_of_each_row_what_the_row_says(policy: str, row: Row) -> None:
    statements = ACTIONS_POLICY if policy == "LaunchActionsPolicy" else CONSOLE_POLICY
    if row.oracle is None:
        assert row.why
        assert decide(statements, row.request()) is Decision.NOT_ALLOWED
    else:
        statement = statements[row.oracle - 1]
        assert statement["Sid"] == f"{policy}{row.oracle}"
        assert decide([statement], row.request()) is Decision.ALLOWED


def test_what_is_left_out_is_in_a_policy_of_aws() -> None:
    rows = [row for statement in CONSOLE_POLICY + ACTIONS_POLICY for row in allowed_by(statement)]
    assert LEFT_OUT.keys() <= {name for row in rows for name in (row.action, f"{row.action} {row.kind}")}
    assert {f"{row.action} {row.kind}" for row in rows if not row.via} >= ONLY_THROUGH_DRS
    assert all(LEFT_OUT.values())


@dataclass(frozen=True)
class Mutant:
    name: str
    policies: Policies
    actions: frozenset[str]

    def is_noticed(self) -> bool:
        return next(faults(self.policies, self.actions), None) is not None


def mutants(change: Callable[[Statement], Iterable[tuple[str, Statement | None]]]) -> list[Mutant]:
    """Copies of what is shipped with one statement changed, or None of it left."""
    found = []
    for name, statements in SHIPPED.files.items():
        for at, statement in enumerate(statements):
            for what, instead in change(statement):
                broken = SHIPPED.broken()
                broken.files[name][at : at + 1] = [] if instead is None else [instead]
                actions = frozenset(as_list(statement["Action"]))
                found.append(Mutant(f"{name}: {statement['Sid']} {what}", broken, actions))
    return found


def gone(statement: Statement) -> Iterator[tuple[str, None]]:
    yield "is missing", None


def with_less(statement: Statement) -> Iterator[tuple[str, Statement]]:
    """One action, one resource or one condition less, or any resource."""
    for part in ("Action", "Resource"):
        values = as_list(statement[part])
        for each in values if len(values) > 1 else []:
            yield f"without {each}", {**statement, part: [other for other in values if other != each]}
    conditions = as_conditions(statement.get("Condition", {}))
    for operator, keys in conditions.items():
        for key in keys:
            less = {name: value for name, value in keys.items() if name != key}
            yield f"without {key}", {**statement, "Condition": {**conditions, operator: less}}
    if as_list(statement["Resource"]) != ["*"] and statement["Effect"] == "Allow":
        yield "on everything", {**statement, "Resource": "*"}


def test_every_statement_that_is_missing_is_noticed() -> None:
    found = mutants(gone)
    assert len(found) > 40
    assert [each.name for each in found if not each.is_noticed()] == []


@pytest.mark.slow
def test_every_part_of_a_statement_that_is_missing_is_noticed() -> None:
    found = mutants(with_less)
    assert len(found) > 250
    assert [each.name for each in found if not each.is_noticed()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_each_policy_fits_into_a_managed_policy_also_with_all_regions(name: str, partition: str) -> None:
    regions = boto3.Session().get_available_regions("drs", partition) or stacks.REGIONS
    text = json.dumps(json.loads((stacks.POLICIES / f"{name}.json").read_text()), separators=(",", ":"))
    text = text.replace(json.dumps(stacks.REGIONS, separators=(",", ":")), json.dumps(regions, separators=(",", ":")))
    ten_keys = json.dumps([stacks.KEY[0].replace("KEY", "x" * 36)] * 10, separators=(",", ":"))
    text = text.replace(json.dumps(stacks.KEY, separators=(",", ":")), ten_keys)
    size = len(text.replace("arn:aws:", f"arn:{partition}:"))
    assert size <= (INLINE_CHARACTERS_A_ROLE if name == "check" else MANAGED_POLICY_CHARACTERS)


@pytest.mark.parametrize("process", sorted(stacks.ROLES))
def test_no_role_has_more_policies_than_iam_allows(process: str) -> None:
    template = stacks.iam_template()["Resources"]
    assert len(template[f"{process}Role"]["Properties"]["ManagedPolicyArns"]) <= MANAGED_POLICIES_A_ROLE


def test_pages_that_speak_of_keys_lead_to_the_policy_for_keys() -> None:
    for said in ("Client.InternalError: Client error on launch", "AuthFailure: the KMS key is disabled"):
        assert "deploy/iam/README.md" in explain(said).advice
    assert re.search(r"\bkeys\.json\b", (stacks.POLICIES / "README.md").read_text())
