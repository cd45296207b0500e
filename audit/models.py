"""The journal's tables. Entries and seals are only ever added: `audit.append_only` has the database refuse the rest."""

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """Who did what to which subject, when, from where, and how it ended. Names, not foreign keys: it outlives them."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.CharField(max_length=254)
    actor_id = models.CharField(  # noqa: DJ001  (null in entries from before there was one: sealed without it)
        max_length=520,
        null=True,
        help_text="Who it is, however called: subject and issuer at the provider, or the local account",
    )
    actor_kind = models.CharField(max_length=10)
    verb = models.CharField(max_length=64)
    subject_kind = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=64)
    subject_name = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=64, default="ok", help_text="ok, or the code of the contract")
    refused = models.BooleanField(default=False, help_text="It was tried and nothing was changed")
    detail = models.JSONField(default=dict)
    before = models.JSONField(null=True, help_text="What the change replaced")
    after = models.JSONField(null=True, help_text="What it was replaced with")
    address = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject_kind", "subject_id", "id"]),
            models.Index(fields=["actor", "id"], name="audit_entry_by_actor"),
            models.Index(fields=["verb", "id"], name="audit_entry_by_verb"),
            models.Index(fields=["at"], name="audit_entry_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.subject_kind} {self.subject_name or self.subject_id}: {self.outcome}"


class UnsealedEntry(models.Model):
    """An entry that waits for its seal. A trigger adds the row with the entry, so none can be left out."""

    entry = models.BigIntegerField(primary_key=True)

    class Meta:
        verbose_name_plural = "unsealed entries"

    def __str__(self) -> str:
        return f"entry {self.entry}"


class AuditSeal(models.Model):
    """One link of the chain: `digest` covers the entry and `previous`, the digest before it. No gaps in `seq`."""

    seq = models.BigIntegerField(primary_key=True)
    entry = models.BigIntegerField(unique=True)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["seq"]

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


class SealMark(models.Model):
    """How many seals were ever made, in one row that only grows: it stays ahead of a chain that is cut at its end."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True)
    seq = models.BigIntegerField(help_text="The number of the last seal that was ever made")
    told_at = models.DateTimeField(null=True, help_text="When the head was last told to the log")

    def __str__(self) -> str:
        return f"{self.seq} seals"
