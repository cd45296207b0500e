"""Who a request comes from, and what that principal may do."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.requests import actor_for
from drsorch_site.roles import ROLES
from drsorch_site.tokens import user_of

__all__ = ["BearerAuthentication", "RoleBackend", "actor_for"]


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`, with a token of `manage.py api_token`."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = user_of(token.strip())
        if user is None:
            raise AuthenticationFailed("The Bearer token is not valid, or not any more. Get a new one.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class RoleBackend(ModelBackend):
    """Django's users and groups; a principal without any role has the default one."""

    def get_group_permissions(self, user_obj: User | AnonymousUser, obj: Model | None = None) -> set[str]:
        held = super().get_group_permissions(user_obj, obj)
        if not isinstance(user_obj, User) or not user_obj.is_active or obj is not None:
            return held
        return held if _has_role(user_obj) else held | set(ROLES[settings.DEFAULT_ROLE])


def _has_role(user: User) -> bool:
    known: Any = getattr(user, "_has_role", None)
    if known is None:
        known = user.groups.filter(name__in=ROLES).exists()
        user._has_role = known  # type: ignore[attr-defined]  # beside Django's own permission cache
    return bool(known)
