"""The user behind a good ID token."""

import hashlib

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import Q

from identity.models import Identity
from identity.provider.cognito import Provider
from identity.provider.id_token import Claims


def user_of(claims: Claims) -> User:
    """The user of this issuer and subject, made when first seen; a known one stays as it is."""
    try:
        return _known(claims) or _new(claims)
    except IntegrityError:  # another request was first
        user = _known(claims)
        if user is None:
            raise
        return user


def _known(claims: Claims) -> User | None:
    found = Identity.objects.select_related("user").filter(issuer=claims.issuer, subject=claims.subject).first()
    return found.user if found else None


@transaction.atomic
def _new(claims: Claims) -> User:
    who = hashlib.sha256(f"{claims.issuer}\n{claims.subject}".encode()).hexdigest()
    user = User.objects.create_user(f"{claims.name[:100] or 'user'}-{who[:12]}", claims.email)
    Identity.objects.create(issuer=claims.issuer, subject=claims.subject, user=user)
    return user


@transaction.atomic
def signed_in(claims: Claims, provider: Provider) -> User:
    """The user after a sign-in: e-mail and rights are those of the token, so a group that was taken away is gone, and
    so is whatever the account was given here, in local mode or in the administration."""
    user = user_of(claims)
    roles = provider.roles(claims.groups)
    scoped = Q(scoped_roles__isnull=False, name__in=provider.other_groups(claims.groups))
    user.groups.set(Group.objects.filter(Q(name__in=roles) | scoped).distinct())
    user.email = claims.email
    user.is_staff = "admin" in roles
    user.is_superuser = False
    user.save(update_fields=["email", "is_staff", "is_superuser"])
    user.user_permissions.clear()
    return user
