"""App clients of the identity provider as programs: their own access tokens (client credentials) come in under a name
and a role that an administrator has given to the client. The provider gives the tokens and ends them; here it is said
what they may do, and that they may no more."""

import re
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock, unix
from contract.errors import Invalid, NotFound
from identity.models import ServiceClient
from identity.programs.principals import admitted, faults, require, user_named
from identity.programs.states import TokenStatus
from identity.provider.cognito import CLIENT_ID, Provider
from identity.provider.id_token import ProgramClaims

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", re.ASCII)  # RFC 6749 3.3


def user_of(claims: ProgramClaims, clock: Clock = db_clock) -> User | None:
    """The program that a client's token is of, with the rights of its role; None where nobody has said which it is, or
    the token has not the scope that it must have."""
    rows = ServiceClient.objects.select_related("user")
    row = rows.filter(issuer=claims.issuer, client_id=claims.client_id, revoked_at=None).first()
    if row is None or (row.scope and row.scope not in claims.scopes):
        return None
    return admitted(row, clock())


def status_of(row: ServiceClient) -> TokenStatus:
    return TokenStatus.ACTIVE if row.revoked_at is None else TokenStatus.REVOKED


@attempt("service_client.create", "service_client", subject="name")
def create(
    *, actor: Actor, client_id: str, name: str, role: str, scope: str = "", clock: Clock = db_clock
) -> ServiceClient:
    """Let a client of the provider in as the program of this name; several clients and tokens of one name are one
    program. Raises Forbidden, Invalid."""
    require(actor)
    name, client_id, scope = name.strip(), client_id.strip(), scope.strip()
    issuer = _check(client_id, name, role, scope)
    try:
        with transaction.atomic():
            row = ServiceClient.objects.create(
                user=user_named(name),
                issuer=issuer,
                client_id=client_id,
                name=name,
                role=role,
                scope=scope,
                created_by=actor.name[:254],
                created_at=clock(),
            )
            _journal(actor, "service_client.create", row, after=_state(row))
    except IntegrityError:
        raise Invalid({"clientId": ["This client is a program already. Revoke that first."]}) from None
    return row


@attempt("service_client.revoke", "service_client", subject="client_id")
def revoke(*, actor: Actor, client_id: uuid.UUID, clock: Clock = db_clock) -> ServiceClient:
    """Refuse the tokens of a client from the next request on; one that is revoked already stays so. `client_id` is our
    id of it. Raises Forbidden, NotFound."""
    require(actor)
    with transaction.atomic():
        row = ServiceClient.objects.select_for_update().filter(pk=client_id).first()
        if row is None:
            raise NotFound(f"There is no client {client_id}.", details={"serviceClientId": str(client_id)})
        if row.revoked_at is None:
            before = _state(row)
            row.revoked_at, row.revoked_by = clock(), actor.name[:254]
            row.save(update_fields=["revoked_at", "revoked_by"])
            _journal(actor, "service_client.revoke", row, before=before, after=_state(row))
    return row


def _check(client_id: str, name: str, role: str, scope: str) -> str:
    """The issuer whose client it is. Raises Invalid."""
    provider: Provider | None = settings.PROVIDER
    fields = faults(name, role)
    if provider is None:
        fields["clientId"] = ["This installation has no identity provider (DRSORCH_AUTH). Make a token instead."]
    elif not CLIENT_ID.fullmatch(client_id):
        fields["clientId"] = ["The id of one app client of the pool is expected, without spaces."]
    elif client_id in provider.api_audiences:
        fields["clientId"] = ["People sign in through this client. Make one for the program alone."]
    if scope and not SCOPE.fullmatch(scope):
        fields["scope"] = ["One scope is expected, such as drsorch/use, without spaces."]
    if provider is None or fields:
        raise Invalid(fields)
    return provider.issuer


def _state(row: ServiceClient) -> dict[str, Any]:
    return {
        "clientId": row.client_id,
        "name": row.name,
        "role": row.role,
        "scope": row.scope,
        "revokedTime": unix(row.revoked_at),
    }


def _journal(actor: Actor, verb: str, row: ServiceClient, **kept: Any) -> None:
    record(actor, verb, subject_kind="service_client", subject_id=row.pk, subject_name=f"service:{row.name}", **kept)
