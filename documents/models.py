"""Which document was applied last. Its one row is also what two who apply at once wait for each other at."""

from django.db import models
from django.db.models import Q


class Applied(models.Model):
    """The last configuration that was applied."""

    digest = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=254, blank=True)
    at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "applied configuration"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_applied_configuration")]

    def __str__(self) -> str:
        return self.digest or "never"
