"""A body is told its faults with their fields, a few at a time; who may not send it is told so before it is read."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse

from contract.rest.parsers import MAX_BYTES
from identity.roles import ROLES
from plans.fields import WaveSpec
from plans.services import _check_servers
from tests.console import world
from tests.contract.bodies.test_linear_bodies import MOST_BYTES
from tests.identity import rules
from tests.identity.scene import Scene
from tests.identity.test_rights import addresses
from tests.support.api_client import Api, make_user, refusal

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.mark.parametrize(
    "bad", [{"version": 10**300}, {"waves": [{"dependsOnWaves": [10**16]}]}, {"version": -(10**15)}]
)
def test_an_integer_that_parsers_read_differently_is_told_with_its_field(admin: Api, bad: dict[str, Any]) -> None:
    fields = refusal(admin.post("/recovery-plans", {"planName": "a", "waves": []} | bad), 400, "VALIDATION_ERROR")[
        "fields"
    ]
    assert ["A whole number of no more than 15 digits is expected."] in fields.values()


def test_a_number_without_end_is_told_with_its_name(admin: Api) -> None:
    for body in (b'{"version": %b}', b'{"waves": [{"version": %b}]}'):
        told = admin.post("/recovery-plans", body % (b"9" * 5_000)).json()
        assert told["message"] == "The body cannot be read as JSON: the number of 'version' has too many digits."


def test_twenty_faults_are_listed_and_that_there_are_more(admin: Api) -> None:
    body = {"groupName": "a", "region": "us-east-1", "sourceServerIds": list(range(1_000))}
    fields = refusal(admin.post("/protection-groups", body), 400, "VALIDATION_ERROR")["fields"]
    assert len(fields) == 21
    assert fields[""] == ["There are more than these 20. Correct these first."]
    body["sourceServerIds"] = [*["s-1"] * 10, *range(20)]
    fields = refusal(admin.post("/protection-groups", body), 400, "VALIDATION_ERROR")["fields"]
    assert list(fields) == [f"sourceServerIds[{at}]" for at in range(10, 30)]


def test_a_long_list_of_conflicts_is_cut_and_says_so(admin: Api) -> None:
    taken = [f"s-{number:017x}" for number in range(1_000)]
    world.group("Theirs", taken)
    told = admin.post("/protection-groups", {"groupName": "b", "region": "us-east-1", "sourceServerIds": taken})
    details = refusal(told, 409, "SERVER_ASSIGNMENT_CONFLICT")
    assert details["truncated"] is True
    assert (len(details["conflicts"]), len(told.content) <= MOST_BYTES) == (200, True)


# The right before the body


class Unread:
    """A body that nobody may touch."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")

    readline = __iter__ = read


def forbidden(role: str) -> Iterator[tuple[str, str]]:
    """Every route that changes something, and its method, where the role may not do so in any way."""
    enough: dict[tuple[str, str], set[str]] = {}
    for rule in rules.API:
        if rule.method not in ("GET", "HEAD"):
            enough.setdefault((rule.name, rule.method), set()).add(rule.right)
    for (name, method), rights in enough.items():
        if rules.EVERYBODY not in rights and not rights.intersection(ROLES[role]):
            yield address(name), method


def address(name: str) -> str:
    pattern = next(each for each in addresses() if each.name == name)
    return reverse(name, kwargs={key: uuid.uuid4() for key in pattern.pattern.converters})


@pytest.mark.parametrize("role", ROLES)
def test_who_may_not_do_it_is_told_so_before_the_body_is_read(role: str) -> None:
    api = Api(make_user(role))
    for path, method in forbidden(role):
        for kind, length in (("application/json", 9), ("application/json", MAX_BYTES + 1), ("text/plain", 9)):
            unread: dict[str, Any] = {"wsgi.input": Unread(), "CONTENT_LENGTH": str(length), "CONTENT_TYPE": kind}
            headers = {"Authorization": f"Bearer {api.token}"}
            refusal(api.client.generic(method, path, headers=headers, **unread), 403, "FORBIDDEN")
        for body in (b"{", b'{"a": 1}', b"x" * (MAX_BYTES + 1)):
            refusal(api.send(method, path, body), 403, "FORBIDDEN")


def test_most_of_what_changes_something_is_forbidden_to_somebody() -> None:
    assert len(list(forbidden("viewer"))) > 20
    assert list(forbidden("admin")) == []


def test_who_may_do_something_of_the_kind_has_the_body_read(db: None) -> None:
    """Which right a start takes is in its body."""
    operator = Api(make_user("operator"))
    refusal(operator.post("/executions", b"{"), 400, "MALFORMED_JSON")
    plan = world.plan()
    body = {"planId": str(plan.pk), "executionType": "RECOVERY"}
    assert refusal(operator.post("/executions", body), 403, "FORBIDDEN") == {"right": "executions.start_recovery"}
    assert operator.post("/executions", body | {"dryRun": True}).status_code == 202


def test_who_may_not_do_it_with_a_recovery_is_told_so_before_the_body_is_read(db: None) -> None:
    """An operator may steer drills; which of the two a run is, its address says."""
    run, operator = Scene.paused_recovery().run, Api(make_user("operator"))
    for verb in (
        "pause",
        "resume",
        "approve",
        "decline",
        "retry",
        "terminate-instances",
        "waves/1/skip",
        "waves/0/retry",
    ):
        told = refusal(operator.post(f"/executions/{run.pk}/{verb}", b"{"), 403, "FORBIDDEN")
        assert told["right"] in ("executions.start_recovery", "executions.terminate_recovery"), verb
    assert operator.post(f"/executions/{run.pk}/cancel", {}).status_code == 200, "an operator may cancel any run"


def test_of_many_wrong_servers_no_more_is_written_than_is_told(db: None) -> None:
    group = world.group("Payments", [f"s-{1:017x}"])
    wrong = [f"s-{number:017x}" for number in range(2, 27_000)]
    wave = WaveSpec(name="a", group_ids=[group.pk], server_ids=wrong)
    assert [len(texts) for texts in _check_servers([wave]).values()] == [21]
