"""The journal's one table. Rows are only ever added."""

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """Who did what to which subject, when, from where, and how it ended. Names, not foreign keys: it outlives them."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.CharField(max_length=254)
    actor_kind = models.CharField(max_length=10)
    verb = models.CharField(max_length=64)
    subject_kind = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=64)
    subject_name = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=64, default="ok")
    detail = models.JSONField(default=dict)
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["subject_kind", "subject_id", "id"])]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.subject_kind} {self.subject_name or self.subject_id}: {self.outcome}"
