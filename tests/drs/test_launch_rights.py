"""The questions that doctor asks IAM are the rows of the matrix by which deploy/iam is judged."""

from collections.abc import Iterable

import pytest

from drs.arns import server_arn
from drs.launch_rights import Rights
from drs.surroundings import Question, role_behind
from drs_simulator.protocol.iam_policy import Decision, Request, decide
from tests.security.iam.matrix import LAUNCHING, Policies
from tests.security.iam.rights_of_a_launch import ACCOUNT, LAUNCH, REGION, TERMINATE
from tests.security.iam.rights_of_options import KEY, ROWS

RIGHTS = Rights(ACCOUNT, REGION)
SHIPPED = Policies.shipped()
ASKED = {
    "engine": [*RIGHTS.core()],
    "terminate": [*RIGHTS.terminate()],
    "launch-actions": [*RIGHTS.launch_actions()],
    "flexible-types": [*RIGHTS.flexible_types()],
    "existing-instances": [*RIGHTS.existing_instances()],
    "dedicated-hosts": [*RIGHTS.dedicated_hosts()],
    "keys": [*Rights(ACCOUNT, "us-west-2").key(KEY)],
}


def refused(policies: Policies, questions: Iterable[Question], *files: str) -> set[str]:
    """What of the questions these files do not allow."""
    statements = [each for name in files for each in policies.files[name]]
    return {
        action
        for question in questions
        for action in question.actions
        for resource in question.resources
        if decide(statements, Request(action, resource, question.context)) is not Decision.ALLOWED
    }


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_shipped_policy_allows_all_that_is_asked(name: str) -> None:
    files = LAUNCHING if name == "engine" else (name,)
    assert refused(SHIPPED, ASKED[name], *files) == set()
    assert {question.policy for question in ASKED[name]} <= {*files}


@pytest.mark.parametrize("name", sorted(ASKED))
def test_everything_that_drs_calls_in_our_name_is_asked(name: str) -> None:
    needed = LAUNCH if name == "engine" else TERMINATE if name == "terminate" else ROWS[name]
    through = {row.action for row in needed if row.via and not row.why.startswith("perhaps")}
    asked = {action for question in ASKED[name] for action in question.actions}
    unasked = {
        "launch-actions": {"ssm:GetParameters"},  # of the site's own parameters
        "terminate": {"ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DetachVolume", "drs:DescribeSourceServers"},
        "existing-instances": {"ec2:GetConsoleOutput", "ec2:GetConsoleScreenshot", "ssm:SendCommand"},
    }
    assert through - asked == unasked.get(name, set())


def test_what_is_taken_away_is_missed() -> None:
    """Of the core, each statement in turn."""
    for name in LAUNCHING:
        for at, statement in enumerate(SHIPPED.files[name]):
            broken = SHIPPED.broken()
            del broken.files[name][at]
            # A staging volume without the tag, and an instance without it, are known to the matrix alone; who we are
            # needs no right.
            known = {"DeleteOfJobsThroughDrs", "WhoAmI"}
            missed = refused(broken, ASKED["engine"], *LAUNCHING)
            if statement["Sid"] not in known | {"UseManagedThroughDrs", "UseNotOfferedThroughDrs"}:
                assert missed, statement["Sid"]


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:sts::123456789012:assumed-role/engine/i-0abc", "arn:aws:iam::123456789012:role/engine"),
        ("arn:aws-us-gov:sts::123456789012:assumed-role/x/y", "arn:aws-us-gov:iam::123456789012:role/x"),
        ("arn:aws:iam::123456789012:user/dr/alice", "arn:aws:iam::123456789012:user/dr/alice"),
        ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"),
    ],
)
def test_iam_is_asked_about_the_role_behind_a_session(arn: str, role: str) -> None:
    assert role_behind(arn) == role


def test_arns_are_of_the_partition_of_their_region() -> None:
    assert Rights(ACCOUNT, "us-gov-west-1").partition == "aws-us-gov"
    assert (
        server_arn(ACCOUNT, "us-gov-east-1", "s-1") == f"arn:aws-us-gov:drs:us-gov-east-1:{ACCOUNT}:source-server/s-1"
    )
    assert server_arn(ACCOUNT, REGION, "s-1").startswith(f"arn:aws:drs:{REGION}:")
