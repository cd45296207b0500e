"""Who a request comes from, and what that principal may do."""

import logging
from collections.abc import Collection, Iterable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.request_actor import actor_for
from contract.labels.rules import Label
from contract.rights import EVERYWHERE, Grants, Reach, Thing
from contract.storage.prepared import Asked, Prepared
from identity import tokens
from identity.models import ScopedRole, people, reach_of
from identity.programs import clients, service_tokens
from identity.programs.principals import is_service
from identity.provider import users
from identity.provider.cognito import Provider
from identity.provider.id_token import InvalidToken, KeysUnavailable, ProgramClaims, verifier
from identity.roles import ROLES

__all__ = ["BearerAuthentication", "RoleBackend", "Roles", "actor_for"]

log = logging.getLogger(__name__)


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`: a program's, the provider's ID token or a client's own access token, or in local
    mode one of `manage.py api_token`."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = _user_of(token.strip(), may_wait=not getattr(request, "fails_often", False))
        if user is None:
            raise AuthenticationFailed("The Bearer token is invalid or has expired. Get a new one.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _user_of(token: str, *, may_wait: bool) -> User | None:
    if service_tokens.looks_like(token):
        return service_tokens.user_of(token)
    provider: Provider | None = settings.PROVIDER
    return tokens.user_of(token) if provider is None else _of_provider(token, provider, may_wait=may_wait)


def _of_provider(token: str, provider: Provider, *, may_wait: bool) -> User | None:
    try:
        claims = verifier(provider).verify_bearer(token, may_wait=may_wait)
    except InvalidToken as error:
        log.warning("A Bearer token was refused: %r", str(error)[:300])
        return None
    except KeysUnavailable as error:
        raise AuthenticationFailed("The identity provider does not answer. Try again in a minute.") from error
    if isinstance(claims, ProgramClaims):
        return clients.user_of(claims)
    user = users.user_of(claims)
    user.token_roles = provider.roles(claims.groups)  # type: ignore[attr-defined]  # these, not those of the last sign-in
    user.token_groups = provider.other_groups(claims.groups)  # type: ignore[attr-defined]  # for which roles may be given
    user.is_superuser = False  # for this request: Django asks it before any backend
    return user if user.is_active else None


_PERSON = Prepared(lambda: people().filter(pk=Asked(User, "id")))


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
            return {right for role in _or_default(roles, _scoped(user_obj)) for right in ROLES[role]}
        if user_obj.is_superuser:
            return super().get_group_permissions(user_obj, obj)
        return _of_groups(user_obj)

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Any = None) -> bool:
        """For a thing that has labels and accounts, of roles that are given for some of those as well."""
        if isinstance(obj, Thing) and _scoped(user_obj):
            return user_obj.is_active and grants(user_obj).may(perm, obj)
        return super().has_perm(user_obj, perm)

    def grants_of(self, user: object) -> Grants:
        return grants(user)

    def get_user(self, user_id: int) -> User | None:
        user = next(iter(_PERSON.objects(id=user_id)), None)
        return user if user is not None and self.user_can_authenticate(user) else None

    def is_bounded(self, user: object) -> bool:
        return bool(_scoped(user))

    def scope_labels(self, labels: Collection[Label]) -> set[Label]:
        known = ScopedRole.objects.filter(key__in=[key for key, _ in labels]).values_list("key", "value")
        return set(known) & set(labels)


class RoleBackend(Roles):
    """Users and passwords of our own: local mode. A program's account is no way in, whatever password it is given."""

    def user_can_authenticate(self, user: Any) -> bool:
        return super().user_can_authenticate(user) and not is_service(user)


def grants(user: Any) -> Grants:
    """What somebody may do and see, asked once a request: everything that their roles give, and what those give that
    they have for labels or accounts. Whoever has any role has no default one; who sees everything in any role does."""
    known: Grants | None = getattr(user, "_grants", None)
    if known is None:
        held, scoped = _everywhere(user), _scoped(user)
        known = Grants.of([*([(held, EVERYWHERE)] if held is not None else []), *scoped])
        user._grants = known
    return known


def _everywhere(user: Any) -> Collection[str] | None:
    """The rights that somebody has everywhere; None for who has no role that is."""
    if not user.is_active:
        return None
    token_roles: tuple[str, ...] | None = getattr(user, "token_roles", None)
    if token_roles is None and user.is_superuser:
        return [right for held in ROLES.values() for right in held]
    roles = set(token_roles) if token_roles is not None else {name for name, *_ in _rows(user)} & ROLES.keys()
    scoped = _scoped(user)
    return cast("set[str]", user.get_all_permissions()) if _or_default(roles, scoped) else None


def _or_default(roles: Collection[str], scoped: Collection[object]) -> Collection[str]:
    """The roles of somebody, and the default one of who has none, not even for a part."""
    return roles or (() if scoped else (settings.DEFAULT_ROLE,))


Role = tuple[Collection[str], Reach]


def _scoped(user: Any) -> list[Role]:
    """The roles that somebody has for labels or accounts."""
    groups: tuple[str, ...] | None = getattr(user, "token_groups", None)
    known: list[Role] | None = getattr(user, "_scoped_roles", None)
    if known is None:
        is_none = not user.is_active or (groups is None and user.is_superuser) or groups == ()
        if is_none or (groups is None and not getattr(user, "is_scoped", True)):
            rows: Iterable[tuple[str, str, str, str]] = ()
        elif groups is None:
            rows = {row[3:] for row in _rows(user) if row[3]}
        else:
            found = ScopedRole.objects.filter(group__name__in=groups).order_by()
            rows = found.values_list("role", "account_id", "key", "value")
        known = [(ROLES[role], reach_of(*scope)) for role, *scope in rows]
        user._scoped_roles = known
    return known


def _rows(user: User) -> set[Any]:
    """What the user's groups give: name, right, and a role for a part; one query, asked once a request."""
    known: set[Any] | None = getattr(user, "_rows_of_groups", None)
    if known is None:
        right = ("permissions__content_type__app_label", "permissions__codename")
        scope = (f"scoped_roles__{column}" for column in ("role", "account_id", "key", "value"))
        known = set(user.groups.order_by().values_list("name", *right, *scope))
        user._rows_of_groups = known  # type: ignore[attr-defined]  # beside Django's own permission cache
    return known


def _of_groups(user: User) -> set[str]:
    """The rights that the user's groups give everywhere, and those of the default role to one who has none at all."""
    rows = _rows(user)
    rights = {f"{app_label}.{codename}" for _, app_label, codename, *_ in rows if codename}
    roles = {name for name, *_ in rows} & ROLES.keys()
    return rights.union(*(ROLES[role] for role in _or_default(roles, _scoped(user)) if role not in roles))
