"""What a client says it sends and accepts, taken lightly: there is only JSON."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AlwaysJson(BaseContentNegotiation):
    """JSON, whatever a client says that it accepts: there is nothing else."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((each for each in parsers if _reads(each, request.content_type)), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        renderer: BaseRenderer = renderers[0]
        return renderer, renderer.media_type


def _reads(parser: Any, content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == str(parser.media_type)
