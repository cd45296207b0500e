"""Clients of the identity provider as programs, over HTTP."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import unix
from contract.rest.schema import describes
from contract.rest.serializers import OneOf, StrictSerializer, Text, read_body
from contract.rest.views import ApiView, read_id
from identity.models import ServiceClient
from identity.programs import clients, principals
from identity.programs.api import ADMIN
from identity.provider.cognito import CLIENT_ID
from identity.roles import ROLES


class ServiceClientShape(TypedDict):
    """A client of the identity provider that is a program. `lastUsedTime` is exact to a minute; `scope` is what its
    tokens must have, empty for nothing. `status` is ACTIVE or REVOKED."""

    serviceClientId: str
    clientId: str
    name: str
    role: str
    scope: str
    status: str
    createdBy: str
    createdDate: int
    lastUsedTime: int | None
    revokedTime: int | None
    revokedBy: str


class ServiceClientsAnswer(TypedDict):
    """All of them, newest first."""

    items: list[ServiceClientShape]
    count: int


def show(row: ServiceClient) -> ServiceClientShape:
    return ServiceClientShape(
        serviceClientId=str(row.pk),
        clientId=row.client_id,
        name=row.name,
        role=row.role,
        scope=row.scope,
        status=clients.status_of(row).value,
        createdBy=row.created_by,
        createdDate=unix(row.created_at),
        lastUsedTime=unix(row.last_used_at),
        revokedTime=unix(row.revoked_at),
        revokedBy=row.revoked_by,
    )


class ServiceClientIn(StrictSerializer):
    """An app client of the pool, and the program that it is. Several tokens and clients of one name are one program."""

    clientId = Text(described={"pattern": f"^{CLIENT_ID.pattern}$"})
    name = Text(described={"pattern": f"^{principals.NAME.pattern}$"})
    role = OneOf(choices=list(ROLES))
    scope = Text(required=False, described={"maxLength": 256})


class ServiceClients(ApiView):
    """All of them, and new ones."""

    rights = {"GET": ADMIN, "POST": ADMIN}

    @describes(
        "listServiceClients",
        "List the identity provider's clients that are programs, newest first",
        answers={200: ServiceClientsAnswer},
        refusals=["FORBIDDEN"],
    )
    def get(self, request: Request) -> Response:
        items = [show(each) for each in ServiceClient.objects.all()]
        return Response(ServiceClientsAnswer(items=items, count=len(items)))

    @describes(
        "createServiceClient",
        "Take the access tokens of a client of the identity provider (client credentials) as those of a program",
        answers={201: ServiceClientShape},
        body=ServiceClientIn,
        refusals=["FORBIDDEN"],
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, ServiceClientIn)
        row = clients.create(
            actor=actor_for(request),
            client_id=given["clientId"],
            name=given["name"],
            role=given["role"],
            scope=given.get("scope", ""),
        )
        return Response(show(row), status=201)


class ServiceClientDetail(ApiView):
    """One of them."""

    rights = {"DELETE": ADMIN}

    @describes(
        "revokeServiceClient",
        "Revoke a client: its tokens are refused from the next request on",
        answers={200: ServiceClientShape},
        refusals=("FORBIDDEN", "NOT_FOUND"),
    )
    def delete(self, request: Request, service_client_id: str) -> Response:
        key = read_id(service_client_id, "client", "serviceClientId")
        return Response(show(clients.revoke(actor=actor_for(request), client_id=key)))
