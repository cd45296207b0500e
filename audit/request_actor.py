"""The actor behind an HTTP request, of the API and of the console."""

from typing import cast

from django.http import HttpRequest
from rest_framework.request import Request

from audit.actor import Actor, Principal, person
from contract.request_ids import request_id
from contract.rights import asked_about


def actor_for(request: HttpRequest | Request) -> Actor:
    """Who asks, from where, and under which request id. The request must be authenticated."""
    plain = request._request if isinstance(request, Request) else request
    actor = person(
        cast("Principal", request.user),
        address=plain.META.get("REMOTE_ADDR", ""),
        request_id=request_id(plain),
    )
    return actor.at(asked_about(request.user))
