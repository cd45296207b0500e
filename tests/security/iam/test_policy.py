"""The evaluator of policies decides as IAM's documentation says, above all about what a request does not tell."""

import pytest

from drs_simulator.protocol.iam_policy import Context, Decision, Request, Statement, Value, decide

VIA = "aws:CalledVia"
TAG = "aws:ResourceTag/Team"
PUT = "s3:PutObject"
OBJECT = "arn:aws:s3:eu-west-1:123456789012:bucket/a"


def decided(operator: str, key: str, wanted: Value, context: Context) -> bool:
    condition = {operator: {key: wanted}}
    statement: Statement = {"Effect": "Allow", "Action": PUT, "Resource": "*", "Condition": condition}
    return decide([statement], Request(PUT, OBJECT, context)) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("operator", "wanted", "with_dr", "with_web", "absent"),
    [
        ("StringEquals", "dr", True, False, False),
        ("StringEquals", ["web", "dr"], True, True, False),
        ("StringEquals", "DR", False, False, False),
        ("StringEqualsIgnoreCase", "DR", True, False, False),
        ("StringEqualsIfExists", "dr", True, False, True),
        ("StringNotEquals", "dr", False, True, True),
        ("StringNotEquals", ["web", "dr"], False, False, True),
        ("StringNotEqualsIfExists", "dr", False, True, True),
        ("StringNotEqualsIgnoreCase", "DR", False, True, True),
        ("StringLike", "d?", True, False, False),
        ("StringLike", "*", True, True, False),
        ("StringLikeIfExists", "w*", False, True, True),
        ("StringNotLike", "d*", False, True, True),
        ("Null", "true", False, False, True),
        ("Null", "false", True, True, False),
    ],
)
def test_operators(operator: str, wanted: Value, with_dr: bool, with_web: bool, absent: bool) -> None:
    for context, expected in (({TAG: "dr"}, with_dr), ({TAG: "web"}, with_web), ({}, absent)):
        assert decided(operator, TAG, wanted, context) is expected, context


@pytest.mark.parametrize(
    ("operator", "both", "one", "other", "absent"),
    [
        ("ForAnyValue:StringEquals", True, True, False, False),
        ("ForAllValues:StringEquals", False, True, False, True),
        ("ForAnyValue:StringNotEquals", True, False, True, False),
        ("ForAllValues:StringNotEquals", False, False, True, True),
        ("ForAnyValue:StringEqualsIfExists", True, True, False, True),
        ("ForAnyValue:StringLike", True, True, False, False),
    ],
)
def test_keys_of_several_values(operator: str, both: bool, one: bool, other: bool, absent: bool) -> None:
    """Wanted: drs. Both told, that one alone, another alone, or nothing."""
    drs, ec2 = "drs.amazonaws.com", "ec2.amazonaws.com"
    told = [({VIA: [drs, ec2]}, both), ({VIA: [drs]}, one), ({VIA: [ec2]}, other), ({}, absent)]
    for context, expected in told:
        assert decided(operator, VIA, drs, context) is expected, context


def test_truths_and_arns() -> None:
    assert decided("Bool", "aws:ViaAWSService", "true", {"aws:ViaAWSService": "true"})
    assert not decided("Bool", "aws:ViaAWSService", "true", {"aws:ViaAWSService": "false"})
    assert not decided("Bool", "aws:ViaAWSService", "true", {})
    assert not decided("Bool", "aws:ViaAWSService", "false", {})
    assert decided("BoolIfExists", "aws:ViaAWSService", "false", {})
    role = {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/engine"}
    assert decided("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*", role)
    assert decided("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/engine", role)
    assert not decided("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*", role)  # no part is left out
    assert not decided("ArnLike", "aws:PrincipalArn", "arn:*:role/engine", role)  # and a star is of its part
    assert not decided("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*", role)
    assert decided("ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::*:role/*", {})


def test_all_operators_and_all_keys_must_hold() -> None:
    condition = {
        "StringEquals": {TAG: "dr", "aws:RequestedRegion": "eu-west-1"},
        "Null": {"aws:TokenIssueTime": "true"},
    }
    statement: Statement = {"Effect": "Allow", "Action": PUT, "Resource": "*", "Condition": condition}
    whole = {TAG: "dr", "aws:RequestedRegion": "eu-west-1"}
    assert decide([statement], Request(PUT, OBJECT, whole)) is Decision.ALLOWED
    for less in ({TAG: "dr"}, whole | {TAG: "web"}, whole | {"aws:TokenIssueTime": "now"}):
        assert decide([statement], Request(PUT, OBJECT, less)) is Decision.NOT_ALLOWED


@pytest.mark.parametrize(
    ("statement", "applies"),
    [
        ({"Action": "s3:*", "Resource": "*"}, True),
        ({"Action": ["S3:putobject"], "Resource": [OBJECT]}, True),
        ({"Action": "s3:Put?bject", "Resource": "arn:aws:s3:*:*:bucket/*"}, True),
        ({"Action": "s3:Get*", "Resource": "*"}, False),
        ({"Action": PUT, "Resource": "arn:aws:s3:::bucket/*"}, False),  # no region is not any region
        ({"Action": PUT, "Resource": "arn:aws:s3:*:*:Bucket/*"}, False),
        ({"NotAction": "s3:Get*", "Resource": "*"}, True),
        ({"NotAction": ["s3:Get*", PUT], "Resource": "*"}, False),
        ({"Action": PUT, "NotResource": "arn:aws:s3:*:*:bucket/b"}, True),
        ({"Action": PUT, "NotResource": "arn:aws:s3:*:*:bucket/*"}, False),
        ({"Action": PUT, "Resource": "arn:aws:s3:*:${aws:PrincipalAccount}:bucket/a"}, True),
        ({"Action": PUT, "Resource": "arn:aws:s3:*:*:bucket/${aws:username}"}, False),  # roles have none
    ],
)
def test_what_a_statement_is_about(statement: dict[str, Value], applies: bool) -> None:
    request = Request(PUT, OBJECT, {"AWS:PrincipalAccount": "123456789012"})
    assert (decide([{"Effect": "Allow", **statement}], request) is Decision.ALLOWED) is applies


def test_a_denial_wins_and_nothing_is_allowed_by_itself() -> None:
    allow, deny = ({"Effect": effect, "Action": PUT, "Resource": "*"} for effect in ("Allow", "Deny"))
    request = Request(PUT, OBJECT)
    assert decide([allow, deny], request) is Decision.DENIED
    assert decide([deny], request) is Decision.DENIED
    assert decide([], request) is Decision.NOT_ALLOWED


@pytest.mark.parametrize("operator", ["NumericEquals", "IpAddress", "NotString", "StringAlmost"])
def test_what_it_does_not_know_it_does_not_pass_over(operator: str) -> None:
    with pytest.raises(NotImplementedError):
        decided(operator, TAG, "dr", {TAG: "dr"})
    with pytest.raises(NotImplementedError, match="Principal"):
        decide([{"Effect": "Allow", "Principal": "*", "Action": PUT, "Resource": "*"}], Request(PUT, OBJECT))
    with pytest.raises(ValueError, match="several values"):
        decided("StringEquals", VIA, "drs.amazonaws.com", {VIA: ["drs.amazonaws.com", "ec2.amazonaws.com"]})
