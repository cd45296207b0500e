"""JSON that two parsers could read differently, or that could hurt, is refused with a reason."""

import pytest

from tests.support.api_client import Api, refusal

DEEP = 100_000
MALFORMED = {
    "empty text": b" ",
    "not closed": b'{"groupName": "a"',
    "duplicate name": b'{"groupName": "a", "groupName": "b"}',
    "duplicate name inside": b'{"waves": [{"name": "a", "name": "a"}]}',
    "half a character in a name": b'{"a\\ud800": 1}',
    "half a character in a name inside": b'{"waves": [{"a\\udc00": 1}]}',
    "NaN": b'{"version": NaN}',
    "Infinity": b'{"version": -Infinity}',
    "a number without end": b'{"version": 1e999}',
    "a number too long": b'{"version": ' + b"9" * 5000 + b"}",
    "deep lists": b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "somewhat deep": b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
    "not UTF-8": b'{"groupName": "\xff"}',
    "UTF-16": '{"groupName": "a"}'.encode("utf-16"),
    "single quotes": b"{'groupName': 'a'}",
    "trailing comma": b'{"groupName": "a",}',
    "comment": b'{"groupName": "a"} // b',
    "two values": b'{"groupName": "a"}{}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("path", ["/protection-groups", "/recovery-plans", "/executions"])
def test_it_refuses_malformed_json(admin: Api, path: str, body: bytes) -> None:
    refusal(admin.post(path, body), 400, "MALFORMED_JSON")


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"null", b"true"])
def test_it_wants_an_object(admin: Api, body: bytes) -> None:
    refusal(admin.post("/protection-groups", body), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groupName", "a\x00b"),
        ("description", "\ud800"),
        ("sourceServerIds", ["s-1", "\x00"]),
        ("region", "us-east-1\x00"),
        ("groupName", 1),
        ("groupName", None),
        ("groupName", ["a"]),
        ("groupName", True),
        ("sourceServerIds", "s-1"),
        ("sourceServerIds", {"0": "s-1"}),
        ("sourceServerIds", [1]),
        ("sourceServerIds", [["s-1"]]),
        ("sourceServerIds", []),
        ("version", "1"),
        ("version", 1.5),
        ("version", True),
        ("description", "a" * 513),
        ("groupName", "a" * 129),
        ("groupName", ""),
        ("groupName", " \t\n"),
    ],
)
def test_it_names_the_field_that_is_wrong(admin: Api, field: str, value: object) -> None:
    body = {"groupName": "A", "region": "us-east-1", "sourceServerIds": ["s-1"], field: value}
    fields = refusal(admin.post("/protection-groups", body), 400, "VALIDATION_ERROR")["fields"]
    assert [name.partition("[")[0] for name in fields] == [field]


@pytest.mark.parametrize("query", ["name=%00", "region=%00", "nmae=a", "name=a&name=b"])
def test_it_refuses_odd_queries(admin: Api, query: str) -> None:
    refusal(admin.get(f"/protection-groups?{query}"), 400, "VALIDATION_ERROR")
