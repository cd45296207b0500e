"""The worst that can stand in a header, a query or a body, as a web server hands it to Django (PEP 3333)."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import timezone as zone
from encodings import aliases
from typing import Any

from django.utils import timezone

from contract.rest.paging import Cursor

# Of each codec that Python has one name: also those that are no encodings of text.
CODECS = (*sorted(set(aliases.aliases.values())), "idna", "punycode", "undefined", "unicode_escape", "utf-8\x85", "é")
LONG = "x" * 8_000
TEXTS = (
    "", " ", "\x7f", "\xff\xfe", "\xed\xa0\x80", "é", "0", "-1", "9" * 400, "9" * 5_000, "1e999", "NaN", "null", "None",
    "http://[", "http://[::1", "//[", "http://a:b@[/]", "http://x:99999999/", "javascript:alert(1)", "//evil.example/x",
    "../../etc/passwd", "%", "%zz", "%00", "{{7*7}}", "' OR 1=1 --", "a,b,,;=\"", "=?utf-8?b?/w==?=", LONG,
)  # fmt: skip
WORST_TEXTS = ("", "\xff\xfe", "\xed\xa0\x80", "9" * 5_000, "http://[", "//[", "javascript:alert(1)", "%00", 'a,b,,;="')
NAMES = (
    "ACCEPT", "ACCEPT_ENCODING", "ACCEPT_LANGUAGE", "AUTHORIZATION", "COOKIE", "FORWARDED", "HOST", "HX_BOOSTED",
    "HX_CURRENT_URL", "HX_HISTORY_RESTORE_REQUEST", "HX_PROMPT", "HX_REQUEST", "HX_TARGET", "HX_TRIGGER",
    "IDEMPOTENCY_KEY",
    "IF_MATCH", "IF_MODIFIED_SINCE", "IF_NONE_MATCH", "IF_UNMODIFIED_SINCE", "ORIGIN", "RANGE", "REFERER",
    "SCRIPT_NAME",
    "SEC_FETCH_SITE", "TRANSFER_ENCODING", "TRIGGERING_EVENT", "USER_AGENT", "X_BACKGROUND", "X_CSRFTOKEN",
    "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PORT", "X_FORWARDED_PREFIX", "X_FORWARDED_PROTO",
    "X_HTTP_METHOD_OVERRIDE", "X_REAL_IP", "X_REQUEST_ID", "X_REQUESTED_WITH", "X_SCRIPT_NAME",
)  # fmt: skip
SPECIAL: dict[str, tuple[str, ...]] = {
    "AUTHORIZATION": ("Bearer", "Bearer ", "Bearer é", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", "Basic !!!",
                      "Basic \xff", f"Bearer {LONG}", "bearer\tx", "Digest"),
    "COOKIE": ("session=", "session=é", f"session={LONG}", "session=a; session=b", "csrf=\xff; messages=\xff", '="";;=',
               "messages=W1siX19qc29uX21lc3NhZ2UiXV0", "theme=\xed\xa0\x80", 'session="\\377\\777"', "theme={"),
    "IF_MATCH": ("*", '"', 'W/"', '"1"' * 2_000, f'"{"9" * 4_500}"', '"-1"', '"é"', '"1", "2"', '"\xb2"'),
    "IF_MODIFIED_SINCE": ("Mon, 99 Foo 9999 99:99:99 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 1 Jan 0 0:0:0 GMT"),
    "HOST": ("[", "[::1", "evil.example", "localhost:99999999", "a_b", "127.0.0.1, evil.example", "\xe9", ".", "xn--"),
    "RANGE": ("bytes=0-0", "bytes=-", f"bytes={'9' * 400}-", "bytes=9-0"),
    "X_FORWARDED_FOR": ("[::1]:80", "1.2.3.4, \xb2.2.3.4", "fe80::1%eth0", ","),
    "HX_CURRENT_URL": ("http://testserver/\xff", "http://[v1.x]/", "http://\xe2\x84\x80/"),
}  # fmt: skip


def headers() -> Iterator[dict[str, str]]:
    """Environments of one odd header each; for htmx's also where htmx is believed to ask."""
    for name in NAMES:
        for value in (*TEXTS, *SPECIAL.get(name, ())):
            yield {f"HTTP_{name}": value}
            if name.startswith("HX_"):
                yield {"HTTP_HX_REQUEST": "true", f"HTTP_{name}": value, f"HTTP_{name}_URI_AUTOENCODED": "true"}
    for codec in CODECS:
        for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            yield {"CONTENT_TYPE": f"{kind}; charset={codec}"}
    for kind in (*TEXTS, "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xff",
                 f"multipart/form-data; boundary={'x' * 300}", "text/html; charset*=utf-8''%ff"):  # fmt: skip
        yield {"CONTENT_TYPE": kind}
    for length in ("-1", "0", "1", "99999999999", "x", "\xb2", ""):
        yield {"CONTENT_LENGTH": length}


# Pieces of a path, their escapes read as the server does

PIECES = (
    "\x00", "\xff", "\xed\xa0\x80", "\xe2\x80\xae", "-1", "0", "9" * 19, "9" * 5_000, "\xd9\xa3", "..", ".", "%00",
    "%", " ", "\n",
    "0" * 32, "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "_5F", "_00",
    "x" * 3_000, "a;b", "//[",
)  # fmt: skip

# Queries

PARAMETERS = (
    "page", "after", "nextToken", "limit", "rev", "engine", "mark", "run", "plan", "region", "format", "next",
    "expired",
    "again", "why", "state", "code", "error", "errors", "since", "until", "from", "to", "actor", "verb", "subject",
    "outcome",
    "status", "q", "search", "name", "read", "gate", "changed", "executionType", "planId", "groupId", "p", "o", "e",
    "_to_field",
    "_popup", "_changelist_filters", "status__exact", "id__in", "pk", "wave", "server", "serverIds", "dryRun",
)  # fmt: skip
QUERIES = (
    "", "=", "&", "&&=;", "%", "%zz", "%00", "%00=%00", "\xff=\xff", "%ed%a0%80=%ed%a0%80", "=".join(["a"] * 3_000),
    "&".join(f"a{number}" for number in range(1_500)), f"{LONG}={LONG}", "[]", "a[b][c]=1", "%FF%FE=1", "?" * 100,
)  # fmt: skip
VALUES = (
    "", "0", "-1", "1", "9" * 9, "9" * 20, "9" * 400, "9" * 5_000, "1.5", "1e999", "NaN", "Infinity", "%00", "a%00b",
    "%zz", "%",
    "%ed%a0%80", "%ff", "%c2%b2", "%d9%a3", "%e2%80%ae", "0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01",
    "true",
    "http://%5B", "//%5B", "%2F%2F%5B%3A%3A1", "%0d%0aX-A:%20b", "..%2F..%2Fetc",
    "00000000-0000-0000-0000-000000000000", "x" * 3_000,
)  # fmt: skip
WORST_VALUES = (
    "", "-1", "9" * 20, "9" * 5_000, "NaN", "a%00b", "%zz", "%ed%a0%80", "%ff", "%c2%b2", "0001-01-01", "9999-12-31",
    "10000-01-01",
    "http://%5B", "00000000-0000-0000-0000-000000000000", "%0d%0aX-A:%20b",
)  # fmt: skip


def cursors() -> Iterator[str]:
    """Places in a list as `Cursor` writes them, at the ends of time and of the ids, and what only looks like them."""
    ends = (datetime.min, datetime.max, datetime(1, 1, 1, 12), datetime(9999, 12, 31, 12), datetime(1969, 12, 31))  # noqa: DTZ001, DTZ901
    zones = (
        UTC,
        zone(timedelta(hours=23, minutes=59)),
        zone(-timedelta(hours=23, minutes=59)),
        zone(timedelta(seconds=1)),
    )
    for at in (*ends, timezone.now().replace(tzinfo=None)):
        for place in zones:
            for number in (0, 2**63, 2**128 - 1):
                yield Cursor(at.replace(tzinfo=place), uuid.UUID(int=number)).token()
    for text in ("|", "a|b", "\x00", "0001-01-01T00:00:00+00:00|", "é"):
        yield base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def queries() -> Iterator[str]:
    yield from QUERIES
    for value in (*VALUES, *cursors()):
        for name in PARAMETERS:
            if value in VALUES or name in ("after", "nextToken"):
                yield f"{name}={value}"
        yield "&".join(f"{name}={value}" for name in PARAMETERS)
    for name in PARAMETERS:
        yield "&".join([f"{name}=1"] * 50)


# Bodies

_VALUES: tuple[Any, ...] = (
    "",
    "\x00",
    "\ud800",
    "é" * 300,
    -1,
    10**30,
    1.5,
    None,
    True,
    [],
    {},
    [[]],
    {"a": {}},
    "1e999",
    "http://[",
)
_FIELDS = (
    "groupName", "description", "region", "sourceServerIds", "planName", "waves", "version", "executionType",
    "planId", "dryRun",
    "comment", "confirm", "serverIds", "excludeServerIds", "name", "channel", "target", "events", "secret",
    "executionIds", "status",
    "username", "password", "old_password", "new_password1", "theme", "next", "post", "action", "plan_name",
    "purpose", "typed",
    "outageTime", "waveName", "protectionGroupIds", "_selected_action", "index", "csrfmiddlewaretoken", "instanceIds",
)  # fmt: skip


def bodies() -> Iterator[tuple[str, bytes]]:
    """Content types and bodies."""
    for value in _VALUES:
        yield "application/json", json.dumps(dict.fromkeys(_FIELDS, value)).encode()
        text = json.dumps(value).strip('"').encode()
        yield "application/x-www-form-urlencoded", b"&".join(name.encode() + b"=" + text for name in _FIELDS)
        parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + text for name in _FIELDS]
        yield "multipart/form-data; boundary=x", b"\r\n".join([*parts, b"--x--\r\n"])
    for body in (b"", b"{", b"\xff", b"[]", b"null", b"\x00", b'{"a":' * 500,
                 b"--x", b"--x\r\n\r\n", b"--x--\r\n",
                 b"%00=%00&%ff=%ff",
                 b'--x\r\nContent-Disposition: form-data; name="a"; filename="/../\x00"\r\n\r\nx\r\n--x--',
                 b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!--x',
                 b"&".join(b"a%d=" % number for number in range(30_000))):  # fmt: skip
        for kind in (
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
        ):
            yield kind, body
