"""Answers compressed. What BREACH reads from the length of a compressed answer is in SECURITY.md."""

import gzip
import io
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

KINDS = ("application/json", "text/html")
LEAST = 1_000  # bytes; what is shorter fits a packet as it is
LEVEL = 3  # of 9: a sixth more bytes than the usual 6, in less than half the time
PADDING = 100  # bytes at most


class CompressionMiddleware:
    """Compresses what GETs are answered with; what a POST answers, which may show a secret once, stays as it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.method != "GET" or not _may_shrink(response):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if not _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return response
        if isinstance(response, StreamingHttpResponse):
            response.streaming_content = _compressing(cast("Iterable[bytes]", response.streaming_content))
            response.headers["Content-Encoding"] = "gzip"
            return response
        assert isinstance(response, HttpResponse)  # noqa: S101  (there are these two)
        response.content = compressed(response.content)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.content))
        tag = response.headers.get("ETag", "")
        if tag.startswith('"'):
            response.headers["ETag"] = f"W/{tag}"  # the same answer, other bytes
        return response


def _may_shrink(response: HttpResponseBase) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    is_long = not isinstance(response, HttpResponse) or len(response.content) >= LEAST
    return kind in KINDS and "Content-Encoding" not in response.headers and is_long


def _takes_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding names gzip, and not to refuse it."""
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() == "gzip":
            return weight.strip().removeprefix("q=").strip("0.") != "" or not weight
    return False


def compressed(content: bytes) -> bytes:
    """As gzip, with a file name of random letters that nobody reads: the same answer has another length each time."""
    return b"".join(_compressing([content]))


def _compressing(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same of an answer in parts."""
    name = secrets.token_urlsafe(PADDING)[: secrets.randbelow(PADDING) + 1]
    into = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=LEVEL, fileobj=into, mtime=0) as file:
        for part in parts:
            file.write(part)
            yield _taken(into)
    yield _taken(into)


def _taken(made: io.BytesIO) -> bytes:
    content = made.getvalue()
    made.seek(0)
    made.truncate()
    return content
