"""Whatever is sent costs time linear in its size and gets a short answer; who may not send it is not even read."""

import gc
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from django.urls import reverse

from contract.rest.parsers import MAX_BYTES
from drs_simulator.testing import RunningSimulator
from identity.roles import ROLES
from plans.fields import WaveSpec
from plans.services import _check_servers
from tests.console import world
from tests.identity import rules
from tests.identity.test_rights import addresses
from tests.support.api_client import Api, make_user, refusal

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.django_db]

MOST_SECONDS = 0.5
FIXED_WORK_SECONDS = 0.16  # of `allowed`, on the machine for which MOST_SECONDS is meant
MOST_BYTES = 65_536
ROUTES = ("/protection-groups", "/recovery-plans", "/executions", "/notification-subscriptions")


Body = Callable[[], bytes]  # made when it is sent: all of them take seconds and 30 MiB


def full(piece: Callable[[int], str], start: str, end: str, *, size: int = MAX_BYTES - 200, glue: str = ",") -> Body:
    """As many pieces as a body may hold."""
    return lambda: _filled(piece, start, end, size, glue)


def _filled(piece: Callable[[int], str], start: str, end: str, size: int, glue: str) -> bytes:
    pieces: list[str] = []
    length = len(start.encode()) + len(end)
    for number in range(size):
        pieces.append(piece(number))
        length += len(pieces[-1].encode()) + len(glue)
        if length > size:
            pieces.pop()
            break
    return (start + glue.join(pieces) + end).encode()


def waves(wave: str) -> Body:
    return full(lambda _: wave, '{"planName": "a", "waves": [', "]}")


GROUP = '{"groupName": "a", "region": "us-east-1", "sourceServerIds": ["'
WAVE = (
    '{"planName": "a", "waves": [{"protectionGroupIds": ["00000000-0000-0000-0000-000000000001"], "serverIds": ["s-1"]'
)
BODIES: dict[str, Body] = {
    "the last name twice": full(lambda n: f'"{n}": 1', "{", ', "0": 2}'),
    "unknown names": full(lambda n: f'"{n}": 1', "{", "}"),
    "unknown names like known ones": full(lambda n: f'"groupNames{n}": 1', "{", "}"),
    "half characters": full(lambda n: f'"é{n}": 1', "{", "}"),
    "two spellings": full(lambda n: "1", '{"Waves": [1], "waves": [', "]}"),
    "deep lists": lambda: b'{"a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    "lists 30 deep": full(lambda _: "[" * 29 + "]" * 29, '{"waves": [', "]}"),
    "one long string": lambda: b'{"groupName": "' + b"a" * 1_040_000 + b'"}',
    "one long name": lambda: b'{"' + b"a" * 1_040_000 + b'": 1}',
    "one long id": lambda: (GROUP + "s" * 1_040_000 + '"]}').encode(),
    "accents": lambda: ('{"planName": "a' + "\u0301\u0323" * 250_000 + '", "waves": [{}]}').encode(),
    "accents in a group": lambda: (
        GROUP[:-1].replace('"a"', '"a' + "\u0301\u0323" * 250_000 + '"') + '"s-1"]}'
    ).encode(),
    "one long number": lambda: b'{"version": ' + b"9" * 1_040_000 + b"}",
    "long numbers": full(lambda _: "9" * 4_000, '{"executionOrder": [', "]}"),
    "one long fraction": lambda: b'{"version": 1.' + b"9" * 1_040_000 + b"}",
    "numbers for ids": full(lambda _: "1", GROUP[:-1], "]}"),
    "nothing for ids": full(lambda _: "null", GROUP[:-1], "]}"),
    "short ids": full(lambda n: f"{n:x}", GROUP, '"]}', glue='","'),
    "one id again and again": full(lambda _: "s-1", GROUP, '"]}', glue='","'),
    "unprintable ids": full(lambda _: "\\n", GROUP, '"]}', glue='","'),
    "empty ids": full(lambda _: "", GROUP, '"]}', glue='","'),
    "foreign ids": full(lambda n: f"é{n}", GROUP, '"]}', glue='","'),
    "good ids": full(lambda n: f"s-{n:017x}", GROUP, '"]}', glue='","'),
    "empty waves": waves("{}"),
    "waves of nothing": waves("1"),
    "tiny waves": waves('{"name": "a"}'),
    "wrong waves": waves('{"a": 1, "b": 2}'),
    "a thousand waves": full(
        lambda n: (
            '{"name": "a", "protectionGroupIds": ["x"], "serverIds": ["s-1"], "description": "' + "d" * 900 + '"}'
        ),
        '{"planName": "a", "waves": [',
        "]}",
    ),
    "waves of one number": waves('{"waveNumber": 1, "protectionGroupIds": [], "serverIds": []}'),
    "servers of a wave": full(lambda n: f"s-{n:x}", WAVE[:-4] + '"', '"]}]}', glue='","'),
    "groups of a wave": full(lambda n: str(uuid.UUID(int=n)), WAVE[:-64] + '"', '"]}]}', glue='","'),
    "one group again and again": full(
        lambda _: str(uuid.UUID(int=1)), '{"planName": "a", "waves": [{"protectionGroupIds": ["', '"]}]}', glue='","'
    ),
    "numbers of waves": full(str, WAVE + ', "dependsOnWaves": [', "]}]}"),
    "names of waves": full(lambda n: f'{{"DependsOnWaveId": "{n}"}}', WAVE + ', "dependencies": [', "]}]}"),
    "names of waves in a thousand waves": full(
        lambda _: '{"dependencies": [' + ", ".join(['{"DependsOnWaveId": "a"}'] * 40) + "]}", '{"waves": [', "]}"
    ),
    "events": full(lambda _: '"PAUSED"', '{"name": "a", "channel": "SNS", "target": "a", "events": [', "]}"),
    "unknown events": full(str, '{"name": "a", "channel": "SNS", "target": "a", "events": ["', '"]}', glue='","'),
}


# The route that reads a body deepest, if it is not that of plans. It gets it daily, the others in --all.
READ_BY = dict.fromkeys(("the last name twice", "unknown names", "one long name", "deep lists"), "/executions")
READ_BY |= dict.fromkeys(
    [name for name in BODIES if " id" in name or name in ("one long string", "accents in a group")],
    "/protection-groups",
)
READ_BY |= dict.fromkeys(("events", "unknown events"), "/notification-subscriptions")


def sendings() -> Iterator[Any]:
    for name in BODIES:
        for path in ROUTES:
            is_daily = path == READ_BY.get(name, "/recovery-plans")
            yield pytest.param(path, name, marks=() if is_daily else pytest.mark.long)


@cache
def body_of(name: str) -> bytes:
    return BODIES[name]()


@pytest.fixture(autouse=True)
def web_process() -> Iterator[None]:
    """The collector as `drsorch_site.wsgi` sets it: what other tests have left is not walked again and again."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def allowed() -> float:
    """MOST_SECONDS where nothing else runs; more, measured by fixed work, where neighbors slow the processor down."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(3):
            json.loads(json.dumps({f"name{number}": [number, str(number)] for number in range(40_000)}))
        spent.append(time.process_time() - began)
    return MOST_SECONDS * max(1.0, min(spent) / FIXED_WORK_SECONDS)


def cost(send: Callable[[], Any], *, tries: int = 4) -> tuple[float, Any]:
    """Seconds of a processor for it, the best of a few tries, and the last answer.

    Each try stands deeper in the stack: where a chunk of Python 3.11's frame stack happens to end, every call of a
    function asks the kernel for the next one and gives it back, which is ten times as slow and nothing of ours.
    """
    best, answer = float("inf"), None
    for number in range(tries):
        began = time.process_time()
        answer = deeper(number * 17, send)
        best = min(best, time.process_time() - began)
        if best < MOST_SECONDS / 2:
            break
    return best, answer


def deeper(frames: int, send: Callable[[], Any]) -> Any:
    return deeper(frames - 1, send) if frames else send()


@pytest.mark.parametrize(("path", "name"), list(sendings()))
@pytest.mark.field("B11")
def test_no_body_takes_long_or_gets_a_long_answer(
    admin: Api, simulator: RunningSimulator, path: str, name: str
) -> None:
    admin.get("/executions")  # what every first request loads
    body = body_of(name)
    spent, told = cost(lambda: admin.post(path, body))
    assert len(body) <= MAX_BYTES
    assert told.status_code in (400, 404, 409), told.content[:300]
    assert len(told.content) <= MOST_BYTES
    fields = told.json()["details"].get("fields", {})
    assert sum(map(len, fields.values())) <= 21
    assert spent <= MOST_SECONDS or spent <= allowed(), f"{spent:.2f} s"


# What a body may be made of: the names and values of every shape, and what looks like them.
NAMES = (
    *(
        "groupName",
        "GroupName",
        "region",
        "sourceServerIds",
        "SourceServerIDs",
        "version",
        "planName",
        "waves",
        "Waves",
    ),
    *("waveName", "serverIds", "protectionGroupIds", "dependsOnWaves", "dependencies", "dependsOnWaveId", "waveNumber"),
    *("planId", "executionType", "dryRun", "outageTime", "name", "channel", "target", "events", "comment", "x", "éé"),
)


def made(dice: random.Random, size: int) -> bytes:
    """A body of about `size` bytes: one kind of value, often in one kind of place, as an attacker would have it."""
    value: Any = dice.choice([1, -1, 1.5, None, True, "s-1", "", "PAUSED", "é", [], {}, [1], {"a": 1}, "0" * 36])
    for _ in range(dice.randrange(3)):
        value = dice.choice([[value], {dice.choice(NAMES): value}])
    by_number = dice.random() < 0.5
    width = max(len(json.dumps(value)) + 1, 3)
    many = [f"{value}{number}" if by_number and isinstance(value, str) else value for number in range(size // width)]
    place, inner = dice.choice(NAMES), dice.choice(NAMES)
    shape = dice.randrange(4)
    if shape == 0:
        body: Any = {place: many}
    elif shape == 1:
        body = {"planName": "a", "waves": [{inner: many}]}
    elif shape == 2:
        body = {f"{place}{number}": value for number in range(size // (width + len(place) + 8))}
    else:
        body = {"planName": "a", "waves": [{inner: value} for _ in range(size // (width + len(inner) + 5))]}
    return json.dumps(body).encode()[:MAX_BYTES]


# Six of them cover all four routes; all in --all.
@pytest.mark.parametrize("seed", [pytest.param(each, marks=() if each < 6 else pytest.mark.long) for each in range(24)])
@pytest.mark.field("B11")
def test_twice_the_body_takes_no_more_than_twice_the_time(admin: Api, simulator: RunningSimulator, seed: int) -> None:
    """Square growth would be sixteen times from one size to the next."""
    path = random.Random(seed).choice(ROUTES)
    spent = []
    for size in (60_000, 240_000, 960_000):
        body = made(random.Random(seed), size)
        took, told = cost(lambda: admin.post(path, body), tries=5)  # noqa: B023  (sent at once)
        assert told.status_code < 500, (body[:200], told.content[:300])
        assert len(told.content) <= MOST_BYTES
        spent.append(took)
    for smaller, larger in pairwise(spent):
        assert larger < 9 * smaller + 0.1, spent
    assert spent[-1] <= MOST_SECONDS or spent[-1] <= allowed(), spent


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


def forbidden() -> Iterator[tuple[str, str, str]]:
    """Every route that changes something, with each role that may not do so in any way."""
    enough: dict[tuple[str, str], set[str]] = {}
    for rule in rules.API:
        if rule.method not in ("GET", "HEAD"):
            enough.setdefault((rule.name, rule.method), set()).add(rule.right)
    for (name, method), rights in enough.items():
        for role, held in ROLES.items():
            if rules.EVERYBODY not in rights and not rights.intersection(held):
                yield name, method, role


def address(name: str) -> str:
    pattern = next(each for each in addresses() if each.name == name)
    return reverse(name, kwargs={key: uuid.uuid4() for key in pattern.pattern.converters})


@pytest.mark.parametrize(("name", "method", "role"), list(forbidden()))
def test_who_may_not_do_it_is_told_so_before_the_body_is_read(name: str, method: str, role: str) -> None:
    api = Api(make_user(role))
    for kind, length in (("application/json", 9), ("application/json", MAX_BYTES + 1), ("text/plain", 9)):
        unread: dict[str, Any] = {"wsgi.input": Unread(), "CONTENT_LENGTH": str(length), "CONTENT_TYPE": kind}
        headers = {"Authorization": f"Bearer {api.token}"}
        refusal(api.client.generic(method, address(name), headers=headers, **unread), 403, "FORBIDDEN")
    for body in (b"{", b'{"a": 1}', b"x" * (MAX_BYTES + 1)):
        refusal(api.send(method, address(name), body), 403, "FORBIDDEN")


def test_who_may_do_something_of_the_kind_has_the_body_read(db: None) -> None:
    """Which right a start takes is in its body."""
    operator = Api(make_user("operator"))
    refusal(operator.post("/executions", b"{"), 400, "MALFORMED_JSON")
    plan = world.plan()
    body = {"planId": str(plan.pk), "executionType": "RECOVERY"}
    assert refusal(operator.post("/executions", body), 403, "FORBIDDEN") == {"right": "executions.start_recovery"}
    assert operator.post("/executions", body | {"dryRun": True}).status_code == 202


def test_of_many_wrong_servers_no_more_is_written_than_is_told(db: None) -> None:
    group = world.group("Payments", [f"s-{1:017x}"])
    wrong = [f"s-{number:017x}" for number in range(2, 27_000)]
    wave = WaveSpec(name="a", group_ids=[group.pk], server_ids=wrong)
    assert [len(texts) for texts in _check_servers([wave]).values()] == [21]
