"""Configuration documents over HTTP: export, difference, apply."""

from typing import Any, TypedDict

from django.http import HttpResponse
from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.rest.answers.unchanged import is_known, tag_of_bytes
from contract.rest.schema import DRS, describes
from contract.rest.serializers import Flag, OneOf, StrictSerializer, Text, read_body, read_query
from contract.rest.views import ApiView
from contract.rights import AnyOf
from documents.apply import apply
from documents.difference import DifferenceShape, difference, refuse_empty
from documents.export import TYPES, WHOLE, exported
from documents.format.kinds import Kind
from documents.write_rows import Secret

ANY_CHANGE = AnyOf(
    "apply configuration documents",
    (
        "protection.change_protectiongroup",
        "plans.change_recoveryplan",
        "notify.change_subscription",
    ),
)


class AnyDocument(serializers.Field[Any, Any, Any, Any]):
    """An object, a list of them, or a text of either in YAML, JSON or CSV."""

    def __init__(self) -> None:
        super().__init__()
        named = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}
        one = {
            "type": "object",
            "required": ["kind", "metadata", "spec"],
            "properties": {"kind": {"enum": list(Kind)}, "metadata": named, "spec": {"type": "object"}},
        }
        shapes = [one, {"type": "array", "items": one, "minItems": 1}, {"type": "string", "minLength": 1}]
        set_override(self, "field", {"oneOf": shapes, "description": "YAML, JSON, or a CSV of waves."})

    def to_internal_value(self, data: object) -> object:
        return data


class ExportQuery(StrictSerializer):
    format = OneOf(choices=list(TYPES), required=False)


class DiffIn(StrictSerializer):
    document = AnyDocument()
    prune = Flag(required=False)


class ApplyIn(DiffIn):
    digest = Text(described={"pattern": "^[0-9a-f]{64}$"})


class AppliedShape(DifferenceShape):
    """What was changed. `secrets` are the signing keys of new webhooks; they are never shown again."""

    secrets: list[Secret]


class Metadata(TypedDict):
    name: str


class DocumentObject(TypedDict):
    """One object of a document. What its spec leaves out is the default."""

    apiVersion: str
    kind: str
    metadata: Metadata
    spec: dict[str, Any]


class Configuration(ApiView):
    """Everything that documents can say."""

    @describes(
        "exportConfiguration",
        "Export groups, plans and subscriptions as a document, or all waves as CSV",
        answers={200: DocumentObject},
        many=True,
        query=ExportQuery,
        files=[each for each in TYPES.values() if each != TYPES["json"]],
    )
    def get(self, request: Request) -> HttpResponse:
        form = read_query(request, ExportQuery).get("format", "json")
        text = exported(form, whole=actor_for(request).may(WHOLE)).encode()
        answer = HttpResponse(text, content_type=TYPES[form])
        answer["ETag"] = tag = tag_of_bytes([text])
        return HttpResponse(status=304, headers={"ETag": tag}) if is_known(request._request, tag) else answer


class ConfigurationDiff(ApiView):
    """What a document would change. Nothing is written, and AWS is not asked."""

    @describes(
        "diffConfiguration",
        "Say what applying a document would change",
        answers={200: DifferenceShape},
        body=DiffIn,
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, DiffIn)
        refuse_empty(given["document"])
        found = difference(given["document"], prune=given.get("prune", False))
        return Response(found.shown(whole=actor_for(request).may(WHOLE)))


class ConfigurationApply(ApiView):
    """Apply exactly what a difference showed."""

    rights = {"POST": ANY_CHANGE}

    @describes(
        "applyConfiguration",
        "Apply a document, if what it changes is what its difference showed",
        answers={200: AppliedShape},
        body=ApplyIn,
        refusals=(
            "FORBIDDEN",
            "INVALID_SERVER_IDS",
            "VERSION_CONFLICT",
            "PG_IN_ACTIVE_EXECUTION",
            "PLAN_HAS_ACTIVE_EXECUTION",
            *DRS,
        ),
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, ApplyIn)
        done = apply(
            actor=actor_for(request),
            document=given["document"],
            digest=given["digest"],
            prune=given.get("prune", False),
        )
        shown = done.difference.shown(whole=actor_for(request).may(WHOLE))
        return Response(AppliedShape(digest=shown["digest"], changes=shown["changes"], secrets=list(done.secrets)))
