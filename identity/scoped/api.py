"""Roles for labels and accounts over HTTP."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import unix
from contract.errors import NotFound
from contract.rest.schema import describes
from contract.rest.serializers import OneOf, StrictSerializer, Text, read_body
from contract.rest.views import ApiView
from contract.rights import AnyOf
from identity.models import ScopedRole
from identity.scoped import services

NEEDED = AnyOf(services.TO, (services.RIGHT,))


class RoleShape(TypedDict):
    """A role that a group of people has for what has a label, or for an account: the other of the two is null."""

    roleId: str
    group: str
    role: str
    label: str | None
    accountId: str | None
    givenBy: str
    givenTime: int | None


class RolesAnswer(TypedDict):
    roles: list[RoleShape]


class RoleIn(StrictSerializer):
    """`label` is `key=value`; give it or `accountId`."""

    group = Text(described={"minLength": 1, "maxLength": services.GROUP_MAX})
    role = OneOf(choices=list(ScopedRole.ROLES))
    label = Text(required=False, described={"minLength": 1})  # type: ignore[assignment]  # a field of this name, not DRF's
    accountId = Text(required=False, described={"pattern": "^[0-9]{12}$"})


class Roles(ApiView):
    """All of them, and new ones."""

    rights = {"GET": NEEDED, "POST": NEEDED}

    @describes("listRoles", "List roles for labels and accounts", answers={200: RolesAnswer}, refusals=["FORBIDDEN"])
    def get(self, request: Request) -> Response:
        return Response(RolesAnswer(roles=[_show(each) for each in services.given()]))

    @describes(
        "giveRole",
        "Give a group of people a role for what has a label, or for an account",
        answers={201: RoleShape},
        body=RoleIn,
        refusals=("FORBIDDEN", "ROLE_GIVEN"),
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, RoleIn)
        made = services.give(
            actor=actor_for(request),
            group=body["group"],
            role=body["role"],
            label=body.get("label", ""),
            account_id=body.get("accountId", ""),
        )
        return Response(_show(made), status=201)


class Role(ApiView):
    """One of them."""

    rights = {"DELETE": NEEDED}

    @describes("takeRole", "Take a role away again", answers={200: RoleShape}, refusals=("FORBIDDEN", "NOT_FOUND"))
    def delete(self, request: Request, role_id: str) -> Response:
        if not (role_id.isascii() and role_id.isdecimal() and len(role_id) < 18):
            raise NotFound(f"There is no role {role_id[:64]!r}.", details={"roleId": role_id[:64]})
        shown = _show(services.take(actor=actor_for(request), role_id=int(role_id)))
        return Response(shown)


def _show(role: ScopedRole) -> RoleShape:
    return RoleShape(
        roleId=str(role.pk),
        group=role.group.name,
        role=role.role,
        label=None if role.account_id else role.scope,
        accountId=role.account_id or None,
        givenBy=role.made_by,
        givenTime=unix(role.made_at),
    )
