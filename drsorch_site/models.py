"""Who somebody is at the identity provider."""

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

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
