"""Whatever is sent costs time linear in its size and gets a short answer."""

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

from contract.rest.parsers import MAX_BYTES
from drs_simulator.testing import RunningSimulator
from tests.support.api_client import Api
from tests.yardstick import is_quick

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.django_db]

MOST_SECONDS = 0.5
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
    assert is_quick(spent, MOST_SECONDS), f"{spent:.2f} s"


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
    assert is_quick(spent[-1], MOST_SECONDS), spent
