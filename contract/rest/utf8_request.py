"""A request as this product reads it: UTF-8, whatever its Content-Type says."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest, get_bytes_from_wsgi
from django.http import QueryDict
from django.utils.functional import cached_property


class Utf8Request(WSGIRequest):
    """Django decodes with whatever codec a stranger names, and some are no encodings of text: `charset=zlib` would be
    an error of ours before anything else is looked at. Queries are ASCII and percent escapes of UTF-8, the parts of a
    form have no charset beside their own, and a form that is encoded otherwise is refused by Django."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        if self.content_type == "multipart/form-data":
            self.encoding = "utf-8"

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # noqa: N802  # Django's name, also there a cached property
        return QueryDict(get_bytes_from_wsgi(self.environ, "QUERY_STRING", ""), encoding="utf-8")
