"""Answers compressed. What BREACH reads from the length of a compressed answer is in SECURITY.md."""

import gzip
import io
import secrets
import string
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
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
        if request.method != "GET" or not isinstance(response, HttpResponse) or not _may_shrink(response):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if not _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return response
        response.content = compressed(response.content)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.content))
        tag = response.headers.get("ETag", "")
        if tag.startswith('"'):
            response.headers["ETag"] = f"W/{tag}"  # the same answer, other bytes
        return response


def _may_shrink(response: HttpResponse) -> bool:
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return kind in KINDS and "Content-Encoding" not in response.headers and len(response.content) >= LEAST


def _takes_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding names gzip, and not to refuse it."""
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() == "gzip":
            return weight.strip().removeprefix("q=").strip("0.") != "" or not weight
    return False


def compressed(content: bytes) -> bytes:
    """As gzip, with a file name of random letters that nobody reads: the same answer has another length each time."""
    name = "".join(secrets.choice(string.ascii_letters) for _ in range(secrets.randbelow(PADDING) + 1))
    into = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", compresslevel=LEVEL, fileobj=into, mtime=0) as file:
        file.write(content)
    return into.getvalue()
