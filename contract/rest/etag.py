"""Lost updates are refused: a change names the version that it was made from, in If-Match or in the body."""

import re
from collections.abc import Collection

from django.http import HttpRequest

from contract.errors import VersionConflict

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def expected_versions(request: HttpRequest, in_body: int | None = None) -> Collection[int] | None:
    """The versions that a change may be applied to; None for any. A tag that is not ours matches nothing."""
    header = request.headers.get("If-Match", "").strip()
    in_header = None
    if header and header != "*":
        in_header = {int(tag) for tag in _TAG.findall(header) if tag.isascii() and tag.isdigit() and len(tag) < 10}
    if in_header is None:
        return None if in_body is None else {in_body}
    return in_header if in_body is None else in_header & {in_body}


def refuse_stale(version: int, expected: Collection[int] | None, what: str) -> None:
    """Raise VersionConflict unless `version` is one of those expected."""
    if expected is not None and version not in expected:
        raise VersionConflict(
            f"{what} was changed by somebody else in the meantime. Reload it, then repeat your change.",
            details={"version": version},
        )
