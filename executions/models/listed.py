"""How lists of runs find their rows."""

from django.db import models
from django.db.models import Q


def listed(name: str, condition: Q) -> list[models.Index]:
    """The indexes that a list of runs needs, newest first, by what it may be filtered by."""
    newest = ["-started_at", "-id"]
    return [
        models.Index(fields=newest, condition=condition, name=f"execution_{name}_newest"),
        models.Index(fields=["status", *newest], condition=condition, name=f"execution_{name}_status"),
        models.Index(fields=["kind", *newest], condition=condition, name=f"execution_{name}_kind"),
        models.Index(fields=["kind", "status", *newest], condition=condition, name=f"execution_{name}_both"),
    ]
