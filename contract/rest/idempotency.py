"""A request with an Idempotency-Key has its effect once: the key is a row of the same transaction as the effect."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from contract.clock import Clock, db_clock
from contract.errors import Invalid, Unprocessable
from contract.models import IdempotencyKey

KEPT = timedelta(hours=24)
KEY_MAX = 255
_PURGED_AT_ONCE = 100


@dataclass(frozen=True)
class Answer:
    """A response's body and status; `is_replay` when it is the first one told again."""

    status: int
    body: dict[str, Any]
    is_replay: bool = False


def key_of(request: HttpRequest) -> str | None:
    """The request's Idempotency-Key, None without one. Raises Invalid for one that cannot be kept."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= KEY_MAX and key.isprintable()):
        raise Invalid({"Idempotency-Key": [f"1 to {KEY_MAX} printable characters are expected."]})
    return key


def has_answer(principal: str, key: str | None) -> bool:
    """Whether a request with this key was accepted before, so that sending it again has no effect of its own."""
    if key is None or not key.isprintable():  # PostgreSQL takes no NUL; key_of says so to the client
        return False
    return IdempotencyKey.objects.filter(principal=principal, key=key).exists()


def once(
    *,
    principal: str,
    key: str | None,
    request: Mapping[str, object],
    work: Callable[[], Answer],
    clock: Clock = db_clock,
) -> Answer:
    """Do `work`, or tell the first answer again. A refusal is not kept: the next try counts as the first.

    Raises Unprocessable (IDEMPOTENCY_KEY_REUSED) when the key was used for another request. A second request
    while the first is under way waits for its end on the key's row.
    """
    if key is None:
        return work()
    fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    now = clock()
    _purge(now)
    with transaction.atomic():
        try:
            with transaction.atomic():
                IdempotencyKey.objects.filter(principal=principal, key=key, created_at__lt=now - KEPT).delete()
                row = IdempotencyKey.objects.create(
                    principal=principal, key=key, fingerprint=fingerprint, created_at=now
                )
        except IntegrityError:
            return _told_again(IdempotencyKey.objects.get(principal=principal, key=key), fingerprint)
        answer = work()
        row.status, row.answer = answer.status, answer.body
        row.save(update_fields=["status", "answer"])
    return answer


def _told_again(row: IdempotencyKey, fingerprint: str) -> Answer:
    if row.fingerprint != fingerprint:
        raise Unprocessable(
            "IDEMPOTENCY_KEY_REUSED",
            "This Idempotency-Key was used for another request. Use a new key for each request.",
        )
    return Answer(row.status, row.answer, is_replay=True)


def _purge(now: datetime) -> None:
    """Forget a few keys whose time is up, passing over those that another request is removing."""
    with transaction.atomic():
        old = IdempotencyKey.objects.select_for_update(skip_locked=True).filter(created_at__lt=now - KEPT)
        IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_PURGED_AT_ONCE])).delete()
