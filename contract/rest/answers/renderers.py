"""Answers as JSON, in as few bytes and steps as it takes."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer

from contract.rest.answers.ready import encoded


class CompactJson(JSONRenderer):
    """What DRF's renderer makes, without looking at what a client says of indents."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if data is None:
            return b""
        text = encoded(data)
        if not text.isascii():  # lines may end there in JavaScript, not in JSON
            text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return text.encode()
