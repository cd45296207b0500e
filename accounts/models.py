"""The AWS accounts beside our own, and what our own is called."""

from typing import Any

from django.db import models
from django.db.models.functions import Now


class Account(models.Model):
    """An AWS account. It is entered by its role; the one without a role is that of the process's own credentials, of
    which only a name and the last check are kept."""

    account_id = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=128)
    name_key = models.CharField(max_length=512, editable=False)
    role_arn = models.CharField(max_length=2048, blank=True, default="")
    external_id = models.CharField(max_length=1224, blank=True, default="")
    regions = models.JSONField(default=list, help_text="Regions that are read there, beside those of groups")
    enabled = models.BooleanField(default=True, help_text="Whether anything is sent there")
    check_result = models.JSONField(null=True, editable=False, help_text="What the last check found")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name_key"]
        constraints = [
            models.UniqueConstraint(
                fields=["name_key"],
                name="account_name_taken",
                violation_error_code="ACCOUNT_NAME_EXISTS",
                violation_error_message="An account with this name exists.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def last_check(self) -> dict[str, Any]:
        return self.check_result or {}
