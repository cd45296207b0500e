"""Tokens of programs over HTTP."""

from datetime import datetime
from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock, unix
from contract.rest.schema import describes
from contract.rest.serializers import OneOf, StrictSerializer, Text, Whole, read_body
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from identity.models import ServiceToken
from identity.programs import principals, service_tokens
from identity.roles import ROLES

ADMIN = AnyOf("see or change tokens of programs", (principals.MANAGE,))


class ServiceTokenShape(TypedDict):
    """A token of a program. `lastUsedTime` is exact to a minute. `status` is ACTIVE, EXPIRED or REVOKED."""

    tokenId: str
    name: str
    role: str
    status: str
    createdBy: str
    createdDate: int
    expiresTime: int
    lastUsedTime: int | None
    revokedTime: int | None
    revokedBy: str


class ServiceTokenMade(ServiceTokenShape):
    """A new token. `token` is in this answer only."""

    token: str


class ServiceTokensAnswer(TypedDict):
    """All tokens, newest first."""

    items: list[ServiceTokenShape]
    count: int


def show(row: ServiceToken, now: datetime) -> ServiceTokenShape:
    return ServiceTokenShape(
        tokenId=str(row.pk),
        name=row.name,
        role=row.role,
        status=service_tokens.status_of(row, now).value,
        createdBy=row.created_by,
        createdDate=unix(row.created_at),
        expiresTime=unix(row.expires_at),
        lastUsedTime=unix(row.last_used_at),
        revokedTime=unix(row.revoked_at),
        revokedBy=row.revoked_by,
    )


class ServiceTokenIn(StrictSerializer):
    """A program and what it may do. Several tokens of one name are one program."""

    name = Text(described={"pattern": f"^{principals.NAME.pattern}$"})
    role = OneOf(choices=list(ROLES))
    days = Whole(min_value=1, max_value=service_tokens.DAYS_MAX)


class ServiceTokens(ApiView):
    """All tokens, and new ones."""

    rights = {"GET": ADMIN, "POST": ADMIN}

    @describes(
        "listServiceTokens",
        "List tokens of programs, newest first",
        answers={200: ServiceTokensAnswer},
        refusals=["FORBIDDEN"],
    )
    def get(self, request: Request) -> Response:
        now = db_clock()
        items = [show(each, now) for each in ServiceToken.objects.all()]
        return Response(ServiceTokensAnswer(items=items, count=len(items)))

    @describes(
        "createServiceToken",
        "Make a token for a program; it is in this response only",
        answers={201: ServiceTokenMade},
        body=ServiceTokenIn,
        refusals=["FORBIDDEN"],
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, ServiceTokenIn)
        made = service_tokens.create(actor=actor_for(request), **given)
        body = ServiceTokenMade(**show(made.row, db_clock()), token=made.token)
        return Response(body, status=201)


class ServiceTokenDetail(ApiView):
    """One token."""

    rights = {"DELETE": ADMIN}

    @describes(
        "revokeServiceToken",
        "Revoke a token: it is refused from the next request on",
        answers={200: ServiceTokenShape},
        refusals=("FORBIDDEN", "NOT_FOUND"),
    )
    def delete(self, request: Request, token_id: str) -> Response:
        row = service_tokens.revoke(actor=actor_for(request), token_id=read_id(token_id, "token", "tokenId"))
        return Response(show(row, db_clock()))
