"""Who a request comes from, and what that principal may do."""

import logging

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.request_actor import actor_for
from identity import tokens
from identity.provider import users
from identity.provider.cognito import Provider
from identity.provider.id_token import InvalidToken, KeysUnavailable, verifier
from identity.roles import ROLES

__all__ = ["BearerAuthentication", "RoleBackend", "Roles", "actor_for"]

log = logging.getLogger(__name__)


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`: the provider's ID token, or in local mode one of `manage.py api_token`."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        provider = settings.PROVIDER
        if provider is None:
            user = tokens.user_of(token.strip())
        else:
            user = _of_provider(token.strip(), provider, may_wait=not getattr(request, "fails_often", False))
        if user is None:
            raise AuthenticationFailed("The Bearer token is invalid or has expired. Get a new one.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _of_provider(token: str, provider: Provider, *, may_wait: bool) -> User | None:
    try:
        claims = verifier(provider).verify(token, may_wait=may_wait)
    except InvalidToken as error:
        log.warning("A Bearer token was refused: %r", str(error)[:300])
        return None
    except KeysUnavailable as error:
        raise AuthenticationFailed("The identity provider does not answer. Try again in a minute.") from error
    user = users.user_of(claims)
    user.token_roles = provider.roles(claims.groups)  # type: ignore[attr-defined]  # these, not those of the last sign-in
    user.is_superuser = False  # for this request: Django asks it before any backend
    return user if user.is_active else None


class Roles(ModelBackend):
    """What a principal may do; one without any role has the default one. With a token only the token's roles count."""

    def get_user_permissions(self, user_obj: User | AnonymousUser, obj: Model | None = None) -> set[str]:
        if getattr(user_obj, "token_roles", None) is not None:
            return set()
        return super().get_user_permissions(user_obj, obj)

    def get_group_permissions(self, user_obj: User | AnonymousUser, obj: Model | None = None) -> set[str]:
        if not isinstance(user_obj, User) or not user_obj.is_active or obj is not None:
            return super().get_group_permissions(user_obj, obj)
        roles: tuple[str, ...] | None = getattr(user_obj, "token_roles", None)
        if roles is not None:
            return {right for role in roles or (settings.DEFAULT_ROLE,) for right in ROLES[role]}
        if user_obj.is_superuser:
            return super().get_group_permissions(user_obj, obj)
        return _of_groups(user_obj)


class RoleBackend(Roles):
    """Users and passwords of our own: local mode."""


def _of_groups(user: User) -> set[str]:
    """What the user's groups give, and the default role's rights to one in no role: one query, asked once a request."""
    known: set[str] | None = getattr(user, "_rights_of_groups", None)
    if known is None:
        rows = user.groups.values_list("name", "permissions__content_type__app_label", "permissions__codename")
        found = set(rows)
        known = {f"{app_label}.{codename}" for _, app_label, codename in found if codename}
        if not any(name in ROLES for name, _, _ in found):
            known |= set(ROLES[settings.DEFAULT_ROLE])
        user._rights_of_groups = known  # type: ignore[attr-defined]  # beside Django's own permission cache
    return known
