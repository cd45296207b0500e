"""What the views of the API have in common."""

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, ClassVar

from django.http import HttpRequest
from django.urls import URLPattern, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contract.errors import BadRequest, Invalid, NotFound
from contract.rest.answers.unchanged import is_known, tag_of_bytes
from contract.rights import AnyOf, Shows, enter, holds

# Methods of views that read no parameter of their address. `describes` adds to them.
WITHOUT_PARAMETERS: set[Callable[..., Any]] = set()
NO_PARAMETER = "The address takes no parameter here."


class ApiView(APIView):
    """A view of the API. One address, its methods. Answers are the asker's own: no cache keeps them.

    `rights` says by method what is needed at the least. That is looked at before a byte of the body is read, so that
    nobody makes us work on what they may not send; services look at the very right. `shows` is for addresses that name
    no single thing.
    """

    rights: ClassVar[Mapping[str, AnyOf]] = {}
    shows: ClassVar[Shows] = Shows.EVERYTHING

    http_method_names = ["get", "head", "post", "put", "delete"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        enter(request.user, kwargs, self.shows)
        if needed := self.rights.get(request.method or ""):
            needed.require(holds(request.user))
        self._refuse_parameters(request)
        if "Transfer-Encoding" in request.headers and not request.headers.get("Content-Length"):
            # The gateway interface shows no body without its length: it would be silently ignored.
            raise BadRequest("MALFORMED_JSON", "Send the body in one piece, with a Content-Length.")

    def _refuse_parameters(self, request: Request) -> None:
        """Nothing that somebody asks for is passed over: `DELETE /executions?planId=…` would hide every run."""
        method = getattr(self, (request.method or "").lower(), None)
        if request.query_params and getattr(method, "__func__", None) in WITHOUT_PARAMETERS:
            raise Invalid({name: [NO_PARAMETER] for name in islice(request.query_params, 20)})

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers.setdefault("Cache-Control", "no-store")
        if request.method == "GET" and final.status_code == 200 and isinstance(final, Response):
            final.add_post_render_callback(partial(_unless_known, request._request))
        return final


def _unless_known(request: HttpRequest, response: Response) -> None:
    """Tag an answer by its own bytes, unless its view has tagged it, and do not send it to who has it already."""
    if "ETag" in response.headers:
        return
    response.headers["ETag"] = etag = tag_of_bytes([response.content])
    if is_known(request, etag):
        response.status_code, response.content = 304, b""
        del response.headers["Content-Type"]


class NothingHere(ApiView):
    """Every other address: told to those who are signed in."""

    shows = Shows.NOTHING

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(f"There is nothing at {request.path}. The API is described at /api/v1/docs.")


def route(address: str, view: type[APIView], name: str) -> list[URLPattern]:
    """An address without a trailing slash, and the same with one."""
    answer: Callable[..., Any] = view.as_view()
    return [path(address, answer, name=name), path(f"{address}/", answer)]


def read_id(text: str, what: str, field: str) -> uuid.UUID:
    """An id from an address or a body. Raises NotFound for one that cannot be any."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound(f"There is no {what} {text[:64]!r}.", details={field: text[:64]}) from None
