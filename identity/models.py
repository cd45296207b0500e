"""Who somebody is at the identity provider, and what a session may still ask it."""

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """A person of one provider. Never found by e-mail: an address can change hands."""

    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identity")

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_is_unique")]
        permissions = [("switch_account", "Can switch accounts off and on")]

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
