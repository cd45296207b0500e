"""Labels as rows: each room has a table of its own, which its owner is named in."""

from collections.abc import Iterable
from functools import reduce
from typing import Any, TypeVar, cast

from django.db import models

from contract.labels.rules import KEY_MAX, VALUE_MAX, Label, Wanted

Q = TypeVar("Q", bound=models.QuerySet[Any])


class LabelRow(models.Model):
    """One label of something."""

    key = models.CharField(max_length=KEY_MAX)
    value = models.CharField(max_length=VALUE_MAX, blank=True)

    class Meta:
        abstract = True
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}={self.value}" if self.value else self.key


def labeled(owners: Q, labels: Any, wanted: Iterable[Wanted]) -> Q:
    """Those of `owners` that have all these; `labels` is the manager of their table, whose index each of them finds."""
    for key, value in wanted:
        having = labels.filter(key=key) if value is None else labels.filter(key=key, value=value)
        owners = owners.filter(pk__in=having.order_by().values(labels.model.OWNER))
    return owners


def having_any(labels: Any, wanted: Iterable[Label]) -> models.QuerySet[Any]:
    """Whoever has one of these labels, by key."""
    pairs = [models.Q(key=key, value=value) for key, value in sorted(wanted)]
    having = labels.filter(reduce(models.Q.__or__, pairs)) if pairs else labels.none()
    return cast("models.QuerySet[Any]", having.order_by().values(labels.model.OWNER))


def labels_of(owner: Any) -> dict[str, str]:
    """Its labels by key; read anew unless they were prefetched."""
    return {each.key: each.value for each in sorted(owner.labels.all(), key=lambda each: each.key)}


def replace_labels(owner: Any, labels: Iterable[Label]) -> None:
    """Give it exactly these."""
    manager = owner.labels
    wanted = dict(labels)
    if labels_of(owner) != wanted:
        manager.all().delete()
        row = manager.model
        row.objects.bulk_create(row(**{row.OWNER: owner}, key=key, value=value) for key, value in wanted.items())
