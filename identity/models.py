"""Who somebody is at the identity provider, what a session may still ask it, the tokens and clients of programs, and
roles for labels and accounts."""

import uuid

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import models

from contract.labels.rules import KEY_MAX, VALUE_MAX
from contract.rights import Reach


class Identity(models.Model):
    """A person of one provider. Never found by e-mail: an address can change hands."""

    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identity")

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_is_unique")]
        permissions = [
            ("switch_account", "Can switch accounts off and on"),
            ("manage_service_tokens", "Can make and revoke tokens of programs"),
            ("give_roles", "Can give roles for labels and accounts"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class Grant(models.Model):
    """What a session has to ask the provider with. Beside the session, not in it: Django writes a session as a whole,
    so that a request that began earlier could put a used token back. A session whose grant is gone is over."""

    identity = models.ForeignKey(Identity, on_delete=models.CASCADE, related_name="grants")
    sealed_token = models.TextField()
    nonce = models.CharField(max_length=255)  # of the sign-in
    made_at = models.DateTimeField(db_index=True)
    next_try_at = models.DateTimeField()
    unanswered_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"grant {self.pk} of {self.identity}"


class ServiceToken(models.Model):
    """What a program shows instead of signing in. `user` is the same for all tokens of a name, has no password, and
    can be switched off like anybody's account. Of the token itself only its hash is here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="service_tokens")
    name = models.CharField(max_length=64, db_index=True)
    role = models.CharField(max_length=32)
    hashed = models.CharField(max_length=64, unique=True)
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=254, blank=True)
    last_used_at = models.DateTimeField(null=True, help_text="Written at most once a minute")

    class Meta:
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return f"token of service:{self.name}, {self.role}"


class ServiceClient(models.Model):
    """An app client of the identity provider whose own access tokens (client credentials) are those of a program.
    `user` is as of ServiceToken, and the same for the same name. Rows stay when they are revoked."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not tied by the database: processes of the version before know nothing of it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="service_clients", db_constraint=False
    )
    issuer = models.CharField(max_length=255)
    client_id = models.CharField(max_length=128)
    name = models.CharField(max_length=64, db_index=True)
    role = models.CharField(max_length=32)
    scope = models.CharField(max_length=256, blank=True, help_text="What its tokens must have; empty: nothing")
    created_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=254, blank=True)
    last_used_at = models.DateTimeField(null=True, help_text="Written at most once a minute")

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "client_id"], condition=models.Q(revoked_at=None), name="service_client_once"
            )
        ]

    def __str__(self) -> str:
        return f"client {self.client_id} as service:{self.name}, {self.role}"


class ScopedRole(models.Model):
    """A role that a group of people has for what has a label, or lies wholly in an account; exactly one of the two is
    given. The group is Django's, and has the name of the provider's."""

    ROLES = ("viewer", "planner", "operator", "recovery-manager")

    # Not tied by the database: processes of the version before know nothing of it.
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="scoped_roles", db_constraint=False)
    role = models.CharField(max_length=32, choices=[(each, each) for each in ROLES])
    account_id = models.CharField(max_length=12, blank=True)
    key = models.CharField(max_length=KEY_MAX, blank=True)
    value = models.CharField(max_length=VALUE_MAX, blank=True)
    made_by = models.CharField(max_length=254)
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["group__name", "role", "account_id", "key", "value"]
        indexes = [models.Index(fields=["key", "value"], name="scope_label")]
        constraints = [
            models.UniqueConstraint(fields=["group", "role", "account_id", "key", "value"], name="scoped_role_once"),
            models.CheckConstraint(
                condition=(models.Q(account_id="") | models.Q(key="")) & ~models.Q(account_id="", key=""),
                name="scope_is_label_or_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.scope}"

    @property
    def scope(self) -> str:
        """As people write it."""
        return str(reach_of(self.account_id, self.key, self.value))


def reach_of(account_id: str, key: str, value: str) -> Reach:
    """How far a role goes that is given for that."""
    return Reach(accounts=frozenset([account_id])) if account_id else Reach(labels=frozenset([(key, value)]))


def people() -> "models.QuerySet[User]":
    """Users, each with whether any role for a part is theirs: only of those it is asked which."""
    given = ScopedRole.objects.filter(group__user=models.OuterRef("pk"))
    return User.objects.annotate(is_scoped=models.Exists(given))
