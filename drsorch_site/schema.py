"""The OpenAPI document of the API, and the page on which a person reads it and tries it."""

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from contract.rest.views import ApiView
from contract.rights import Shows


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass is untyped
    """How drf-spectacular describes our tokens."""

    target_class = "identity.auth.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


@cache
def document() -> dict[str, Any]:
    """The whole document. It depends on the code alone."""
    generator = SchemaGenerator(urlconf="drsorch_site.api_urls")  # type: ignore[no-untyped-call]
    found: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found["servers"] = [{"url": "/api/v1"}]
    found["info"]["version"] = settings.VERSION
    return found


class SchemaView(ApiView):
    """The document."""

    shows = Shows.NOTHING

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(document())


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The document as an interactive page. Its script asks for the document itself."""
    return render(request, "api_docs.html")
