"""Answers kept for requests that are sent again."""

from django.db import models


class IdempotencyKey(models.Model):
    """The first answer to a request that carried an Idempotency-Key; the constraint lets only one be the first."""

    principal = models.CharField(max_length=254)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.principal}: {self.key}"
